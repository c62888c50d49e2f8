//! Prometheus' text, for what is no count of ours: numbers that the system keeps, read when they are asked for.

use std::fmt::{Display, Write};

use super::names::help;

/// Writes families of one metric or more.
#[derive(Debug, Default)]
pub(crate) struct Text(String);

impl Text {
    /// A family: its name, `counter` or `gauge`, and its values with their labels, written as they are to stand there.
    pub(crate) fn family<Value: Display>(
        &mut self,
        name: &str,
        kind: &str,
        values: impl IntoIterator<Item = (String, Value)>,
    ) {
        let _ = writeln!(self.0, "# HELP {name} {}\n# TYPE {name} {kind}", help(name));
        for (labels, value) in values {
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
        self.0.push('\n');
    }

    /// A family of one metric without labels.
    pub(crate) fn one(&mut self, name: &str, kind: &str, value: impl Display) {
        self.family(name, kind, [(String::new(), value)]);
    }

    /// What was written.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}
