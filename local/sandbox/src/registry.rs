//! The emulators there are. *Invariant:* nothing outside its folder knows an emulator's name but its line in [`REGISTRY`].

use super::{emulator::Spec, google, slack, stripe};

pub(super) const REGISTRY: Registry = Registry(&[slack::SPEC, stripe::SPEC, google::SPEC]);

#[derive(Clone, Copy)]
pub(super) struct Registry(&'static [Spec]);

impl Registry {
    pub(super) fn iter(self) -> impl Iterator<Item = &'static Spec> {
        self.0.iter()
    }

    /// The emulator of a provider, or that of the app in this secret.
    pub(super) fn find(self, name: &str) -> Option<&'static Spec> {
        self.iter().find(|spec| spec.is(name))
    }
}
