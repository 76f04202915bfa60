//! A part of a world that many worlds have in common: it is copied when it changes, and its print is kept with it.

use std::cell::OnceCell;
use std::hash::Hash;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use crate::canon::Print;

#[derive(Clone, Debug)]
pub(crate) struct Shared<T>(Rc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    value: T,
    print: OnceCell<Print>,
}

/// A copy is made to be changed.
impl<T: Clone> Clone for Inner<T> {
    fn clone(&self) -> Self {
        Inner { value: self.value.clone(), print: OnceCell::new() }
    }
}

impl<T: Hash> Shared<T> {
    pub(crate) fn new(value: T) -> Shared<T> {
        Shared(Rc::new(Inner { value, print: OnceCell::new() }))
    }

    pub(crate) fn print(&self) -> &Print {
        self.0.print.get_or_init(|| Print::of(&self.0.value))
    }

    /// Both are one: neither has changed since one was made of the other.
    pub(crate) fn is(&self, other: &Shared<T>) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        let inner = Rc::make_mut(&mut self.0);
        inner.print.take();
        &mut inner.value
    }
}
