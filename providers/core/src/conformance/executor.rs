//! Runs one future to its end on this thread: all that the suite needs, since it does one thing at a time.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            // A wake-up between the poll and this line is not lost: the thread then does not park.
            Poll::Pending => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_that_another_thread_wakes_runs_to_its_end() {
        let (wake, future) = woken_by_another();
        thread::spawn(wake);
        assert_eq!(block_on(future), 7);
    }

    /// A future that is pending once, and the act that wakes it.
    fn woken_by_another() -> (impl FnOnce() + Send + 'static, impl Future<Output = u8>) {
        let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
        let mut asked = false;
        let future = std::future::poll_fn(move |context| {
            if asked {
                return Poll::Ready(7);
            }
            asked = true;
            sender.send(context.waker().clone()).unwrap();
            Poll::Pending
        });
        (move || receiver.recv().unwrap().wake(), future)
    }
}
