// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2019 The Tidewater Authors

//! Reads the table of constituents.

use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, PartialEq)]
pub struct Constituent {
    pub name: String,
    pub amplitude_m: f64,
    pub phase_deg: f64,
}

#[derive(Debug, PartialEq)]
pub enum Trouble {
    TooFewColumns(usize),
    NotANumber(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::TooFewColumns(found) => write!(out, "three columns are needed, found {found}"),
            Trouble::NotANumber(text) => write!(out, "{text:?} is not a number"),
        }
    }
}

impl FromStr for Constituent {
    type Err = Trouble;

    /// A line such as `M2, 1.53, 114.2`.
    fn from_str(line: &str) -> Result<Self, Trouble> {
        let columns: Vec<&str> = line.split(',').map(str::trim).collect();
        let [name, amplitude, phase] = columns[..] else {
            return Err(Trouble::TooFewColumns(columns.len()));
        };
        let number = |text: &str| text.parse().map_err(|_| Trouble::NotANumber(text.to_owned()));
        Ok(Constituent { name: name.to_owned(), amplitude_m: number(amplitude)?, phase_deg: number(phase)? })
    }
}
