use std::cell::{Cell, RefCell};

use super::*;

/// A kernel that has this much memory for the filter there is and the one that comes, of which each prefix takes ten, and the rest one.
struct Kernel {
    room: usize,
    filter: Cell<usize>,
    asked: RefCell<Vec<usize>>,
}

impl Kernel {
    fn attach(&self, filter: &[Instruction]) -> Result<(), Error> {
        self.asked.borrow_mut().push(filter.len() / 10);
        if self.filter.get() + filter.len() > self.room {
            return Err(Error::Filter(io::ErrorKind::OutOfMemory.into()));
        }
        self.filter.set(filter.len());
        Ok(())
    }

    /// What it is asked for, in prefixes.
    fn narrow(&self, prefixes: &mut usize, addresses: usize) -> Vec<usize> {
        let nop = Instruction { code: 0, jump_true: 0, jump_false: 0, value: 0 };
        narrow(prefixes, |most| vec![nop; 1 + 10 * most.min(addresses)], |filter| self.attach(filter)).unwrap();
        self.asked.take()
    }
}

#[test]
fn a_filter_is_halved_until_the_kernel_takes_it_and_the_next_one_is_not_refused() {
    let kernel = Kernel { room: 602, filter: Cell::default(), asked: RefCell::default() };
    let mut prefixes = 200;
    assert_eq!(kernel.narrow(&mut prefixes, 10), [0, 10], "few addresses fit");
    assert_eq!(kernel.narrow(&mut prefixes, 300), [0, 200, 100, 50]);
    assert_eq!(kernel.narrow(&mut prefixes, 300), [0, 50], "old and new together would not fit");
    assert_eq!(kernel.narrow(&mut prefixes, 3), [0, 3]);
    assert_eq!(kernel.narrow(&mut prefixes, 300), [0, 50]);
}

#[test]
fn where_no_prefix_fits_the_filter_for_the_protocols_alone_stands() {
    let kernel = Kernel { room: 10, filter: Cell::default(), asked: RefCell::default() };
    let mut prefixes = 200;
    assert_eq!(kernel.narrow(&mut prefixes, 300), [0, 200, 100, 50, 25, 12, 6, 3, 1]);
    assert_eq!((kernel.filter.get(), kernel.narrow(&mut prefixes, 300)), (1, vec![0]));
}
