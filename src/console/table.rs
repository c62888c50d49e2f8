//! Tables for people: columns as wide as what is in them, numbers to the right.

use std::fmt::Write as _;

use super::client::one_line;

/// Rows under their heads.
pub(super) struct Table<const COLUMNS: usize> {
    heads: [&'static str; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(super) fn new(heads: [&'static str; COLUMNS]) -> Self {
        Self { heads, rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells.map(|cell| one_line(&cell)));
    }

    /// The lines, heads first. The last column is as wide as each line has it: what is wide, in whatever script, goes there.
    pub(super) fn lines(&self) -> Vec<String> {
        let is_number = |cell: &str| !cell.is_empty() && cell.chars().all(|c| c.is_ascii_digit() || ".,:-".contains(c));
        let mut widths = self.heads.map(|head| head.chars().count());
        let mut to_the_right = [!self.rows.is_empty(); COLUMNS];
        for row in &self.rows {
            for (at, cell) in row.iter().enumerate() {
                widths[at] = widths[at].max(cell.chars().count());
                to_the_right[at] &= is_number(cell);
            }
        }
        let line = |cells: &[&str]| {
            let mut line = String::new();
            for (at, cell) in cells.iter().enumerate() {
                let gap = if at == 0 { "" } else { "  " };
                let width = widths[at];
                // A String takes whatever is written to it.
                let _ = if to_the_right[at] {
                    write!(line, "{gap}{cell:>width$}")
                } else if at + 1 == COLUMNS {
                    write!(line, "{gap}{cell}")
                } else {
                    write!(line, "{gap}{cell:<width$}")
                };
            }
            line.truncate(line.trim_end().len());
            line
        };
        let rows = self.rows.iter().map(|row| line(&row.each_ref().map(String::as_str)));
        std::iter::once(line(&self.heads)).chain(rows).collect()
    }
}

impl<const COLUMNS: usize> std::fmt::Display for Table<COLUMNS> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A number as people read it: 1,234,567.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = if number < 0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let mut table = Table::new(["NAME", "WAITING", "TITLE"]);
        table.row(["default".into(), grouped(1_234), "밤\u{1b}[2J".into()]);
        table.row(["b".into(), "5".into(), String::new()]);
        let shown = "NAME     WAITING  TITLE\ndefault    1,234  밤\u{fffd}[2J\nb              5\n";
        assert_eq!(table.to_string(), shown);
    }

    #[test]
    fn numbers_are_grouped() {
        let shown = [0, 7, 999, 1000, -1_234_567, i64::MIN].map(grouped);
        assert_eq!(shown, ["0", "7", "999", "1,000", "-1,234,567", "-9,223,372,036,854,775,808"]);
    }
}
