//! The figures: one row each, with the floor and the limit beside it.

use serde_json::{Value, json};

/// What a figure may be at most.
#[derive(Clone, Copy)]
pub enum Limit {
    /// In the row's own unit.
    Most(f64),
    /// Times the floor.
    Floors(f64),
    /// Above the floor, in the row's own unit: for what the system's own share makes many times
    /// dearer on one machine than on another.
    #[allow(dead_code, reason = "of two benches only one has such a floor")]
    Above(f64),
    /// At least so much, in the row's own unit.
    #[allow(dead_code, reason = "of two benches only one promises a least")]
    Least(f64),
    /// Only to be seen.
    #[allow(dead_code, reason = "of two benches only one shows without promising")]
    None,
}

/// One figure.
pub struct Row {
    /// What was measured.
    pub name: String,
    /// Its unit.
    pub unit: &'static str,
    /// The gateway's figure.
    pub ours: f64,
    /// The floor's, where there is one.
    pub floor: Option<f64>,
    /// What was promised.
    pub limit: Limit,
}

impl Row {
    /// A figure without a floor.
    pub fn alone(name: impl Into<String>, unit: &'static str, ours: f64, limit: Limit) -> Row {
        Row {
            name: name.into(),
            unit,
            ours,
            floor: None,
            limit,
        }
    }

    fn ratio(&self) -> Option<f64> {
        self.floor.map(|floor| self.ours / floor)
    }

    fn kept(&self) -> Option<bool> {
        match self.limit {
            Limit::Most(most) => Some(self.ours <= most),
            Limit::Least(least) => Some(self.ours >= least),
            Limit::Floors(most) => self.ratio().map(|ratio| ratio <= most),
            Limit::Above(most) => self.floor.map(|floor| self.ours - floor <= most),
            Limit::None => None,
        }
    }

    fn line(&self) -> String {
        let floor = self
            .floor
            .map_or("-".to_owned(), |floor| format!("{floor:.2}"));
        let ratio = self
            .ratio()
            .map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        let limit = match self.limit {
            Limit::Most(most) => format!("{most} {}", self.unit),
            Limit::Least(least) => format!("≥ {least} {}", self.unit),
            Limit::Floors(most) => format!("{most} x floor"),
            Limit::Above(most) => format!("floor + {most} {}", self.unit),
            Limit::None => "-".to_owned(),
        };
        let verdict = match self.kept() {
            Some(true) => "kept",
            Some(false) => "OVER",
            None => "",
        };
        let (name, ours, unit) = (&self.name, self.ours, self.unit);
        format!("{name:<44} {ours:>9.2} {unit:<4} {floor:>8} {ratio:>6}  {limit:<13} {verdict}")
    }

    fn json(&self) -> Value {
        let (kind, most) = match self.limit {
            Limit::Most(most) => ("most", Some(most)),
            Limit::Least(least) => ("least", Some(least)),
            Limit::Floors(most) => ("floors", Some(most)),
            Limit::Above(most) => ("above", Some(most)),
            Limit::None => ("none", None),
        };
        json!({
            "name": self.name, "unit": self.unit, "ours": self.ours, "floor": self.floor,
            "ratio": self.ratio(), "limit": { "kind": kind, "value": most }, "kept": self.kept(),
        })
    }
}

/// Prints the table, then the same as one JSON line. True when every limit is kept.
#[allow(clippy::print_stdout)] // the bench's result is its output
pub fn print(rows: &[Row]) -> bool {
    println!(
        "{:<44} {:>9} {:<4} {:>8} {:>6}  {:<13}",
        "measured", "gateway", "", "floor", "ratio", "limit"
    );
    for row in rows {
        println!("{}", row.line());
    }
    let all: Vec<_> = rows.iter().map(Row::json).collect();
    println!("{}", Value::from(all));
    rows.iter().all(|row| row.kept() != Some(false))
}

/// The middle one.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
