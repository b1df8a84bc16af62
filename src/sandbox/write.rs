//! Create, replace, patch and delete: what they have in common for all kinds. From `k8s.io/apiserver/pkg/registry/generic/registry/store.go`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::apply::Apply;
use super::decoder::Dialect;
use super::kinds::Kind;
use super::managed::{self, Versions, Writer};
use super::metadata::{self, text};
use super::patch::Patch;
use super::propagation::Propagation;
use super::read::{item, shown};
use super::refused::Refused;
use super::route::{Parameters, Target};
use super::selector::Selector;
use super::store::{Key, State};
use super::typed::{self, Read, Unread};
use super::{Storage, admission, decoded, definition, event};

/// Namespaces that every cluster has (`pkg/controlplane/controller/systemnamespaces`).
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// What a new cluster has.
pub(super) fn found(state: &mut State) {
    for name in NAMESPACES {
        let Some(kind) = state.kinds.find("", "v1", "namespaces") else { continue };
        let target = Target { kind, namespace: String::new(), name: String::new(), status: false };
        let mut namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        decoded::complete(&target.kind, &mut namespace);
        let writer =
            Writer { manager: "kube-apiserver".to_owned(), status: false, now: metadata::timestamp(state.clock) };
        managed::update(&Versions::of(&state.kinds, &target.kind), &writer, None, &mut namespace);
        let stored = create_in(state, &target, namespace, false);
        debug_assert!(stored.is_ok(), "{stored:?}");
    }
}

pub(super) fn create(
    storage: &Storage,
    target: &Target,
    parameters: &Parameters,
    manager: String,
    body: Value,
) -> Result<Value, Refused> {
    if target.kind.namespaced && target.namespace.is_empty() {
        return Err(Refused::method_not_allowed());
    }
    let mut object = read(&target.kind, parameters, body)?;
    let dry_run = parameters.dry_run("CreateOptions")?;
    let writer = writer(storage, target, manager);
    storage.write(|state| {
        managed::update(&Versions::of(&state.kinds, &target.kind), &writer, None, &mut object);
        create_in(state, target, object, dry_run)
    })
}

pub(super) fn replace(
    storage: &Storage,
    target: &Target,
    parameters: &Parameters,
    manager: String,
    body: Value,
) -> Result<(u16, Value), Refused> {
    let kind = &target.kind;
    let mut object = read(kind, parameters, body)?;
    let dry_run = parameters.dry_run("UpdateOptions")?;
    let writer = writer(storage, target, manager);
    storage.write(|state| {
        if state.get(&target.key()).is_none() && kind.put_creates && may_create(target) {
            metadata::named(target, &object)?;
            managed::update(&Versions::of(&state.kinds, kind), &writer, None, &mut object);
            return create_in(state, target, object, dry_run).map(|new| (201, new));
        }
        if text(&object["metadata"]["resourceVersion"]).is_empty()
            && !kind.put_unconditionally
            && state.get(&target.key()).is_some()
        {
            return Err(Refused::without_version(kind, &target.name));
        }
        let edit = |state: &State, old: &Value| {
            managed::update(&Versions::of(&state.kinds, kind), &writer, Some(old), &mut object);
            Ok(object)
        };
        update_in(state, target, dry_run, false, edit).map(|new| (200, new))
    })
}

pub(super) fn patch(
    storage: &Storage,
    target: &Target,
    parameters: &Parameters,
    manager: String,
    patch: &Patch,
) -> Result<Value, Refused> {
    let dry_run = parameters.dry_run("PatchOptions")?;
    let kind = &target.kind;
    let writer = writer(storage, target, manager);
    storage.write(|state| {
        update_in(state, target, dry_run, true, |state, old| {
            let mut object = read_patched(kind, parameters, patch, patch.apply(kind, shown(kind, old))?)?;
            managed::update(&Versions::of(&state.kinds, kind), &writer, Some(old), &mut object);
            Ok(object)
        })
    })
}

/// Creates what is not there, or lays over it what is wanted.
pub(super) fn apply(
    storage: &Storage,
    target: &Target,
    parameters: &Parameters,
    manager: String,
    apply: &Apply,
) -> Result<(u16, Value), Refused> {
    let dry_run = parameters.dry_run("PatchOptions")?;
    let kind = &target.kind;
    let writer = writer(storage, target, manager);
    storage.write(|state| {
        if state.get(&target.key()).is_none() && may_create(target) {
            let mut object = stored_form(kind, apply.to(state, target, &writer, None)?)?;
            metadata::remove(&mut object["metadata"], "resourceVersion"); // nobody asks which version of nothing
            return create_in(state, target, object, dry_run).map(|new| (201, new));
        }
        let edit = |state: &State, old: &Value| stored_form(kind, apply.to(state, target, &writer, Some(old))?);
        update_in(state, target, dry_run, true, edit).map(|new| (200, new))
    })
}

/// A Service's status, alone of all, does not refuse to create what it is of (`StatusREST` of `pkg/registry/core/service/storage`).
fn may_create(target: &Target) -> bool {
    !target.status || target.kind.is("Service")
}

fn writer(storage: &Storage, target: &Target, manager: String) -> Writer {
    Writer { manager, status: target.status, now: metadata::timestamp(storage.clock) }
}

/// Deletes, or with finalizers only says that it shall be. The answer is the object that stays, or that it is done.
pub(super) fn delete(
    storage: &Storage,
    target: &Target,
    parameters: &Parameters,
    options: &Value,
) -> Result<(u16, Value), Refused> {
    let options = DeleteOptions::read(parameters, options)?;
    storage.write(|state| delete_in(state, target, &options)).map(|answer| (200, answer))
}

pub(super) fn delete_all(
    storage: &Storage,
    target: &Target,
    parameters: &Parameters,
    options: &Value,
) -> Result<Value, Refused> {
    let kind = &target.kind;
    if kind.is("Namespace") || (kind.namespaced && target.namespace.is_empty()) {
        return Err(Refused::method_not_allowed());
    }
    let selector = Selector::read(kind, parameters)?;
    let options = DeleteOptions::read(parameters, options)?;
    storage.write(|state| {
        let place = kind.place();
        let all = state.list(&place, &target.namespace).filter(|(_, object)| selector.selects(object));
        let (names, items): (Vec<String>, Vec<Value>) =
            all.map(|(key, object)| (key.name.clone(), item(kind, object))).unzip();
        for name in names {
            delete_in(state, &Target { name, ..target.clone() }, &options)?;
        }
        let metadata = json!({"resourceVersion": state.revision().to_string()});
        Ok(json!({"kind": kind.list_kind, "apiVersion": kind.api_version(), "metadata": metadata, "items": items}))
    })
}

/// A body as its kind's type, stored form.
fn read(kind: &Kind, parameters: &Parameters, body: Value) -> Result<Value, Refused> {
    decode(kind, parameters, body, |body| typed::read_scanned(kind, body)).map_err(|unread| match unread {
        Unread::Refused(refused) => refused,
        Unread::Undecodable(why) => Refused::undecodable(kind, &why),
    })
}

/// What a patch made, the same way.
fn read_patched(kind: &Kind, parameters: &Parameters, patch: &Patch, patched: Value) -> Result<Value, Refused> {
    let told = patch.told(&patched);
    let read = |patched| typed::read(kind, patched, patch.dialect());
    decode(kind, parameters, patched, read).map_err(|unread| match unread {
        Unread::Refused(refused) => refused,
        Unread::Undecodable(why) => Refused::unreadable_patch(&told, &why),
    })
}

fn decode(
    kind: &Kind,
    parameters: &Parameters,
    object: Value,
    read: impl FnOnce(Value) -> Result<Read, Unread>,
) -> Result<Value, Unread> {
    let forgets = object["metadata"]["managedFields"].as_array().is_some_and(Vec::is_empty);
    let Read { mut object, strict } = read(object)?;
    if forgets {
        object["metadata"]["managedFields"] = json!([]); // says more than nothing: that there shall be none
    }
    parameters.fields.note(strict).map_err(Unread::Undecodable)?;
    complete(kind, &mut object);
    if kind.is("CustomResourceDefinition") {
        definition::not_emulated(&object).into_iter().for_each(|warning| parameters.fields.say(warning));
    }
    Ok(object)
}

/// An object as its kind's type, stored form; of fields that it does not know nothing is said.
fn stored_form(kind: &Kind, object: Value) -> Result<Value, Refused> {
    let read = typed::read(kind, object, Dialect::Json).map_err(|unread| match unread {
        Unread::Refused(refused) => refused,
        Unread::Undecodable(why) => Refused::undecodable(kind, &why),
    });
    let mut object = read?.object;
    complete(kind, &mut object);
    Ok(object)
}

fn complete(kind: &Kind, object: &mut Value) {
    if kind.is_new_event() {
        event::stored(object);
    }
    decoded::complete(kind, object);
}

fn create_in(state: &mut State, target: &Target, mut object: Value, dry_run: bool) -> Result<Value, Refused> {
    let kind = &target.kind;
    let wrong = metadata::born(target, &mut object, &mut state.random, state.clock)?;
    let name = text(&object["metadata"]["name"]);
    let key = Key { name: name.clone(), ..target.key() };
    namespace_takes(state, target, &name)?;
    admission::create(kind, &mut object, state).map_err(|refused| refused.after(kind, &name, &wrong))?;
    if !wrong.is_empty() {
        return Err(Refused::invalid(kind, &name, &wrong));
    }
    if let Some(old) = state.get(&key) {
        let refused = if is_leaving(old) { Refused::still_exists } else { Refused::already_exists };
        return Err(refused(kind, &name));
    }
    if dry_run {
        return Ok(shown(kind, &object));
    }
    Ok(shown(kind, &commit(state, kind, key, object, false)))
}

/// `NamespaceLifecycle`: nothing comes into a namespace that is not there, or that goes.
fn namespace_takes(state: &State, target: &Target, name: &str) -> Result<(), Refused> {
    if !target.kind.namespaced {
        return Ok(());
    }
    let namespaces = state.kinds.find("", "v1", "namespaces").ok_or_else(Refused::no_such_resource)?;
    let place = Key { place: namespaces.place(), namespace: String::new(), name: target.namespace.clone() };
    let namespace = state.get(&place).ok_or_else(|| Refused::not_found(&namespaces, &target.namespace))?;
    if namespace["metadata"]["deletionTimestamp"].is_null() {
        return Ok(());
    }
    Err(Refused::namespace_terminating(&target.kind, name, &target.namespace))
}

fn update_in(
    state: &mut State,
    target: &Target,
    dry_run: bool,
    patched: bool,
    edit: impl FnOnce(&State, &Value) -> Result<Value, Refused>,
) -> Result<Value, Refused> {
    let (kind, key) = (&target.kind, target.key());
    let old = state.get(&key).cloned().ok_or_else(|| Refused::not_found(kind, &target.name))?;
    let mut object = edit(state, &old)?;
    metadata::kept(target, &mut object, &old, patched)?;
    if target.status {
        admission::update_status(kind, &mut object, &old)?;
    } else {
        admission::update(kind, &mut object, &old, state)?;
    }
    object["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
    object["apiVersion"] = old["apiVersion"].clone();
    let owners = &old["metadata"]["managedFields"];
    if object["metadata"]["managedFields"] != *owners && managed::same_but_for_times(&object, &old) {
        object["metadata"]["managedFields"] = owners.clone();
    }
    if dry_run || object == *old {
        return Ok(shown(kind, &object));
    }
    let goes = ends(kind, &object);
    let mut answer = shown(kind, &commit(state, kind, key, object, goes));
    if goes {
        // Who takes the last finalizer away is told of a deletion, which is no write.
        answer["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
    }
    Ok(answer)
}

fn delete_in(state: &mut State, target: &Target, options: &DeleteOptions) -> Result<Value, Refused> {
    let (kind, key) = (&target.kind, target.key());
    let old = state.get(&key).cloned().ok_or_else(|| Refused::not_found(kind, &target.name))?;
    options.hold(kind, &old)?;
    if kind.is("Namespace") && NAMESPACES.contains(&target.name.as_str()) && target.name != "kube-node-lease" {
        return Err(Refused::forbidden(kind, &target.name, "this namespace may not be deleted"));
    }
    let grace = grace(kind, &old, options);
    let mut object = Value::clone(&old);
    let pending = is_leaving(&old) && old["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) > 0;
    if !pending || grace == 0 {
        options.hold_back(kind, &mut object);
    }
    // What nothing holds goes as it is: no deletionTimestamp was ever on it.
    let goes = grace == 0 && !is_held(kind, &object);
    if goes {
        object = Value::clone(&old);
    }
    if !goes && !is_leaving(&old) {
        let metadata = &mut object["metadata"];
        metadata["deletionTimestamp"] = metadata::later(state.clock, grace).into();
        if let Some(generation) = metadata["generation"].as_u64() {
            metadata["generation"] = (generation + 1).into();
        }
        if kind.is("Namespace") {
            object["status"]["phase"] = "Terminating".into();
        } else {
            metadata["deletionGracePeriodSeconds"] = grace.into();
        }
    } else if !goes && grace == 0 && !kind.is("Namespace") {
        object["metadata"]["deletionGracePeriodSeconds"] = 0.into();
    }
    if !options.dry_run && (goes || object != *old) {
        if kind.is("CustomResourceDefinition") && goes {
            delete_resources_of(state, &object)?;
        }
        object = Value::clone(&commit(state, kind, key, object, goes));
    }
    if !goes {
        return Ok(shown(kind, &object));
    }
    if kind.is("Service") || kind.is("Pod") {
        return Ok(shown(kind, &object)); // `ReturnDeletedObject`
    }
    let mut details = json!({"name": target.name, "kind": kind.plural, "uid": old["metadata"]["uid"]});
    if !kind.group.is_empty() {
        details["group"] = kind.group.as_str().into();
    }
    Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}))
}

/// Seconds until a Pod is gone; only a kubelet, which there is not, ends one that has a node. All else goes at once.
fn grace(kind: &Kind, pod: &Value, options: &DeleteOptions) -> i64 {
    if !kind.is("Pod") || text(&pod["spec"]["nodeName"]).is_empty() {
        return 0;
    }
    options.grace.or_else(|| pod["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(30)
}

fn is_leaving(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// Whether something keeps an object that is to be deleted.
fn is_held(kind: &Kind, object: &Value) -> bool {
    let finalizers = object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
    finalizers || !admission::may_go(kind, object)
}

/// Whether an object that was edited goes now: it was only held by what the edit took away.
fn ends(kind: &Kind, object: &Value) -> bool {
    let graceful = object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) > 0;
    is_leaving(object) && !graceful && !is_held(kind, object)
}

/// The resources of a definition go with it.
fn delete_resources_of(state: &mut State, definition: &Value) -> Result<(), Refused> {
    let custom = |kind: &Kind| {
        kind.custom && definition["spec"]["group"] == kind.group && definition["spec"]["names"]["plural"] == kind.plural
    };
    let Some(kind) = state.kinds.all().find(|kind| custom(kind)).cloned() else { return Ok(()) };
    let place = kind.place();
    let all: Vec<(Key, Value)> =
        state.list(&place, "").map(|(key, object)| (key.clone(), Value::clone(object))).collect();
    if all.iter().any(|(_, object)| object["metadata"]["finalizers"].as_array().is_some_and(|all| !all.is_empty())) {
        return Err(Refused::not_emulated(
            "the deletion of a definition whose resources have finalizers; delete these first",
        ));
    }
    for (key, object) in all {
        state.remove(key, object);
    }
    Ok(())
}

/// Stores an object, or lets go of it; and what hangs on it.
fn commit(state: &mut State, kind: &Kind, key: Key, object: Value, goes: bool) -> Arc<Value> {
    let old = state.get(&key).cloned();
    let stored = if goes { state.remove(key, object) } else { state.put(key, object) };
    if kind.is("Service") {
        state.numbers.moved(old.as_deref(), (!goes).then_some(&*stored));
    }
    if kind.is("CustomResourceDefinition") {
        if goes { state.kinds.forget(&stored) } else { state.kinds.define(&stored) }
    }
    stored
}

/// What a delete asks for besides.
struct DeleteOptions {
    dry_run: bool,
    propagation: Option<Propagation>,
    grace: Option<i64>,
    uid: String,
    version: String,
}

impl DeleteOptions {
    fn read(parameters: &Parameters, body: &Value) -> Result<Self, Refused> {
        let (kind, version) = (text(&body["kind"]), text(&body["apiVersion"]));
        if !matches!(kind.as_str(), "" | "DeleteOptions") {
            let message = format!("no kind {kind:?} is registered for version {version:?} in scheme of options");
            return Err(Refused::bad_request(message));
        }
        let grace = parameters.number("gracePeriodSeconds")?;
        Ok(Self {
            dry_run: parameters.dry_run("DeleteOptions")?
                || body["dryRun"].as_array().is_some_and(|all| !all.is_empty()),
            propagation: Propagation::read(parameters, body)?,
            grace: body["gracePeriodSeconds"].as_i64().or(grace),
            uid: text(&body["preconditions"]["uid"]),
            version: text(&body["preconditions"]["resourceVersion"]),
        })
    }

    /// Gives an object the finalizer that its deletion asks for, or takes the one that it does not.
    fn hold_back(&self, kind: &Kind, object: &mut Value) {
        let finalizers = Propagation::finalizers(self.propagation, kind, object);
        if finalizers.is_empty() {
            metadata::remove(&mut object["metadata"], "finalizers");
        } else {
            object["metadata"]["finalizers"] = finalizers.into();
        }
    }

    /// Whether the preconditions are met.
    fn hold(&self, kind: &Kind, object: &Value) -> Result<(), Refused> {
        let metadata = &object["metadata"];
        for (what, asked, field, happened) in [
            ("UID", &self.uid, "uid", "deleted and then recreated"),
            ("ResourceVersion", &self.version, "resourceVersion", "modified"),
        ] {
            let found = text(&metadata[field]);
            if !asked.is_empty() && *asked != found {
                let why = format!(
                    "the {what} in the precondition ({asked}) does not match the {what} in record ({found}). The object might \
                     have been {happened}"
                );
                return Err(Refused::precondition(kind, &text(&metadata["name"]), why));
            }
        }
        Ok(())
    }
}
