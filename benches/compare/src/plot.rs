//! The medians as bars.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::report::digits;
use crate::row::Row;
use crate::samples::{Figure, Samples};

const PANEL: (u32, u32) = (560, 210);
const COLUMNS: usize = 2;
const OURS: RGBColor = RGBColor(0, 122, 92);
const OTHERS: RGBColor = RGBColor(150, 158, 168);

/// What is drawn, and what it is called.
const PANELS: &[(Row, Figure, &str)] = &[
    (Row::Download, Figure::Gigabits, "download, Gbit/s (more is better)"),
    (Row::Download, Figure::ServerPerGib, "server CPU of it, s/GiB (less is better)"),
    (Row::Upload, Figure::Gigabits, "upload, Gbit/s (more is better)"),
    (Row::Requests, Figure::Median, "request across cores, p50 us (less is better)"),
    (Row::OneCore, Figure::ServerEach, "request, server CPU us (less is better)"),
    (Row::Connections, Figure::Rate, "connections with a request, per second (more is better)"),
    (Row::Busy100, Figure::ServerEach, "request of 100 clients, server CPU us (less is better)"),
    (Row::Idle1000, Figure::Memory, "memory for an idle connection, bytes (less is better)"),
];

/// Draws the panels that there are figures for.
///
/// # Errors
/// When they cannot be drawn.
pub fn svg(samples: &Samples) -> Result<String> {
    let rows = samples.rows();
    let panels: Vec<_> = PANELS.iter().filter(|(row, ..)| rows.contains_key(row)).collect();
    let lines = panels.len().div_ceil(COLUMNS);
    let mut text = String::new();
    {
        let size = (PANEL.0 * COLUMNS as u32, PANEL.1 * lines.max(1) as u32);
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&WHITE).map_err(|error| anyhow!("{error}"))?;
        for (area, (row, figure, title)) in root.split_evenly((lines.max(1), COLUMNS)).iter().zip(panels) {
            let bars: Vec<(&str, f64)> = rows[row]
                .iter()
                .filter_map(|&peer| Some((peer.name(), samples.summary(*row, peer, *figure).0?[0])))
                .collect();
            panel(area, title, &bars).map_err(|error| anyhow!("{error}"))?;
        }
        root.present().map_err(|error| anyhow!("{error}"))?;
    }
    Ok(text)
}

fn panel(area: &DrawingArea<SVGBackend<'_>, Shift>, title: &str, bars: &[(&str, f64)]) -> Result<(), String> {
    let failed = |error: DrawingAreaErrorKind<_>| format!("{error}");
    let most = bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let text = |size: u32| ("sans-serif", size).into_font().color(&RGBColor(40, 40, 40));
    area.draw(&Text::new(title.to_owned(), (12, 10), text(15))).map_err(failed)?;
    let (left, right) = (112, PANEL.0 as i32 - 70);
    for (index, (name, value)) in bars.iter().enumerate() {
        let top = 36 + 24 * index as i32;
        let end = left + ((right - left) as f64 * value / most).max(1.0) as i32;
        let color = if index == 0 { OURS } else { OTHERS };
        area.draw(&Rectangle::new([(left, top), (end, top + 17)], color.filled())).map_err(failed)?;
        area.draw(&Text::new((*name).to_owned(), (12, top + 3), text(13))).map_err(failed)?;
        area.draw(&Text::new(digits(*value), (end + 6, top + 3), text(13))).map_err(failed)?;
    }
    Ok(())
}
