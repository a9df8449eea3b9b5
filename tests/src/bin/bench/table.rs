//! Tables for people: columns on a terminal, or Markdown to paste.

use tidegate_tests::load::median;

use crate::words::tell;

/// Rows of text under a head.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(head: &[&str]) -> Table {
        Table { rows: vec![head.iter().map(|word| (*word).to_owned()).collect()] }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Prints it under its title.
    pub fn print(&self, title: &str, markdown: bool) {
        if self.rows.len() == 1 {
            return;
        }
        tell(&format!("\n{}{title}\n", if markdown { "### " } else { "" }));
        for line in self.lines(markdown) {
            tell(&line);
        }
    }

    fn lines(&self, markdown: bool) -> Vec<String> {
        let mut lines = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            if markdown {
                lines.push(format!("| {} |", row.join(" | ")));
                if number == 0 {
                    lines.push(format!("|{}", "---|".repeat(row.len())));
                }
                continue;
            }
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                let width = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
                format!("{cell:<width$}")
            });
            let line: Vec<String> = cells.collect();
            lines.push(line.join("  ").trim_end().to_owned());
        }
        lines
    }
}

/// The middle of some values and, where there are several, the lowest and the highest.
pub fn spread(values: &[f64]) -> String {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let middle = median(values);
    if finite().count() < 2 {
        return digits(middle);
    }
    let (low, high) =
        finite().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    format!("{} ({} to {})", digits(middle), digits(low), digits(high))
}

/// As many digits as one reads.
pub fn digits(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "-".to_owned(),
        1000.0.. => {
            let whole = format!("{value:.0}");
            let from = usize::from(value < 0.0);
            let mut text = String::new();
            for (at, char) in whole.chars().enumerate() {
                if at > from && (whole.len() - at) % 3 == 0 {
                    text.push(',');
                }
                text.push(char);
            }
            text
        }
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_and_markdown_has_its_rule() {
        let mut table = Table::new(&["a", "bb"]);
        table.row(vec!["long".into(), "1".into()]);
        assert_eq!(table.lines(false), ["a     bb", "long  1"]);
        assert_eq!(table.lines(true), ["| a | bb |", "|---|---|", "| long | 1 |"]);
    }

    #[test]
    fn numbers_are_short_and_a_missing_one_is_a_dash() {
        let texts = [f64::NAN, 0.094, 96.04, 999.96, 1234.5, 1_234_567.0].map(digits);
        assert_eq!(texts, ["-", "0.09", "96.0", "1000.0", "1,234", "1,234,567"]);
        assert_eq!(spread(&[f64::NAN]), "-");
        assert_eq!(spread(&[2.0]), "2.00");
        assert_eq!(spread(&[3.0, 1.0, f64::NAN, 2.0]), "2.00 (1.00 to 3.00)");
    }
}
