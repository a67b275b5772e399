// SPDX-License-Identifier: BSD-2-Clause
//! The lines of JSON.

use std::fmt::Write;

/// The name that messages start with: the program's own.
pub fn program() -> String {
    let path = std::env::args().next().unwrap_or_default();

    path.rsplit('/').next().unwrap_or_default().to_string()
}

/// The version of a crate that this was built with, from Cargo.lock.
pub fn version(name: &str) -> &'static str {
    let lock = include_str!("../../Cargo.lock");
    let package = format!("name = \"{name}\"\nversion = \"");

    lock.split_once(&package).and_then(|(_, rest)| rest.split('"').next()).unwrap_or("unknown")
}

/// One object, member by member.
pub struct Line(String);

impl Line {
    pub fn new(peer: &str, version: &str, workload: &str) -> Self {
        let mut line = Line("{".to_string());

        line.text("peer", peer);
        line.text("version", version);
        line.text("workload", workload);
        line
    }

    fn member(&mut self, name: &str, value: std::fmt::Arguments) {
        let comma = if self.0.len() > 1 { "," } else { "" };

        let _ = write!(self.0, "{comma}\"{name}\":{value}");
    }

    pub fn text(&mut self, name: &str, value: &str) {
        self.member(name, format_args!("{value:?}"));
    }

    pub fn number(&mut self, name: &str, value: impl std::fmt::Display) {
        self.member(name, format_args!("{value}"));
    }

    pub fn real(&mut self, name: &str, value: f64, digits: usize) {
        if value.is_nan() {
            self.member(name, format_args!("null"));
        } else {
            self.member(name, format_args!("{value:.digits$}"));
        }
    }

    pub fn print(self) {
        println!("{}}}", self.0);
    }
}
