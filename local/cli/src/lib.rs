//! `cargo local`: the whole bundle on one machine, wired by template.yaml.

pub mod arguments;
pub mod browser;
pub mod bundle;
pub mod environment;
pub mod forward;
pub mod joined;
pub mod operator;
pub mod report;
pub mod rights;
pub mod settings;
pub mod sign;
pub mod stores;
pub mod story;
