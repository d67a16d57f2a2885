//! `cargo local`: the whole bundle on one machine, wired by template.yaml.

pub mod aws;
pub mod bench;
pub mod bootstraps;
pub mod browser;
pub mod cli;
pub mod control;
pub mod front;
pub mod joined;
pub mod lambda;
pub mod look;
pub mod mapping;
pub mod report;
pub mod rights;
pub mod sandbox;
pub mod schedule;
pub mod settings;
pub mod sign;
pub mod stack;
pub mod story;
pub mod template;
pub mod web;
