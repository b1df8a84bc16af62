# What the commands of script.txt may use besides kubectl.

# watch N COMMAND...: starts it in the background until it has printed N lines; returns when it has printed the first.
watch() {
  local lines=$1
  shift
  rm -f watched.*
  # In a shell of its own, so that nothing that stays behind holds our output open.
  (
    { timeout 60 "$@" 2>&1 & echo $! >watched.pid; wait; } | sed -u "${lines}q" >watched.out &
    echo $! >watched.reader
  ) </dev/null >/dev/null 2>&1
  until [ -s watched.out ]; do sleep 0.02; done
}

# watched: what the watch has printed, once it is complete.
watched() {
  timeout 30 tail --pid="$(cat watched.reader)" -f /dev/null || echo "the watch printed less than it should"
  kill "$(cat watched.pid)" 2>/dev/null
  cat watched.out
}

# event NAME VERSION KIND NAMESPACE OBJECT: an Event on an object that exists.
event() {
  local uid
  uid=$(kubectl get "$3" "$5" --namespace "$4" --output 'jsonpath={.metadata.uid}')
  sed "s/EVENT/$1/; s|VERSION|$2|; s/KIND/$3/; s/OBJECT/$5/; s/NAMESPACE/$4/; s/UID/$uid/" event.yaml | kubectl create --namespace "$4" -f -
}
