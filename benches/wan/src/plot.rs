//! Pictures: who gets how much, over scenarios and over time.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::flow::Contender;
use crate::outcome::{FlowOutcome, Outcome, Point};
use crate::results::{Results, goodput as goodput_of};
use crate::scenario::{Scenario, Set};

const WIDTH: u32 = 1000;
const LINE: u32 = 15;
/// Height of a panel with a course over time.
const PANEL: u32 = 230;
/// Points of a course are rates over so many ticks.
const SMOOTH: usize = 5;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn color(contender: Contender) -> RGBColor {
    match contender {
        Contender::Trickles => RGBColor(0, 122, 92),
        Contender::Cubic => RGBColor(200, 80, 60),
        Contender::Reno => RGBColor(150, 158, 168),
        Contender::Bbr => RGBColor(60, 100, 190),
    }
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

fn draw(height: u32, with: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (WIDTH, height.max(PANEL))).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        with(&root)?;
        root.present().map_err(failed)?;
    }
    Ok(text)
}

fn label(area: &Area<'_>, text: String, at: (i32, i32)) -> Result<()> {
    let font = ("sans-serif", 12).into_font().color(&RGBColor(40, 40, 40));
    area.draw(&Text::new(text, at, font)).map_err(failed)
}

/// Bars: the goodput of long flows alone, in parts of the link's rate.
pub(crate) fn goodput(results: &Results<'_>, all: &[Scenario]) -> Result<String> {
    let rows: Vec<_> = all.iter().filter(|s| s.set == Set::Alone && !s.is_short()).collect();
    let block = 1 + Contender::ALL.len() as u32;
    draw(LINE * block * rows.len() as u32 + 3 * LINE, |area| {
        label(area, "goodput of one long flow, in parts of the link's rate".into(), (10, 8))?;
        for (row, scenario) in rows.iter().enumerate() {
            let top = (3 * LINE + row as u32 * block * LINE) as i32;
            label(area, format!("{}, {}", scenario.path, scenario.direction.name()), (10, top))?;
            for (index, who) in Contender::ALL.into_iter().enumerate() {
                let Some(rate) = results.median(scenario, who, goodput_of) else { continue };
                let share = rate / 1e6 / scenario.path.rate;
                let (left, top) = (330, top + index as i32 * LINE as i32);
                let right = left + (f64::from(WIDTH - 430) * share) as i32;
                let bar = Rectangle::new([(left, top), (right, top + 12)], color(who).filled());
                area.draw(&bar).map_err(failed)?;
                label(area, format!("{} {share:.3}", who.name()), (right + 6, top))?;
            }
        }
        Ok(())
    })
}

/// Lines: the rates of flows that share a bottleneck, over time.
pub(crate) fn sharing(results: &Results<'_>, all: &[Scenario]) -> Result<String> {
    let is_of_two =
        |scenario: &&Scenario| scenario.groups.iter().map(|group| group.flows).sum::<usize>() <= 4;
    let shown: Vec<(&Scenario, &Outcome)> = all
        .iter()
        .filter(|scenario| scenario.set == Set::Beside)
        .filter(is_of_two)
        .filter_map(|scenario| {
            let outcomes = results.outcomes(scenario, Contender::Trickles);
            Some((scenario, outcomes.first()?.1))
        })
        .collect();
    draw(PANEL * shown.len() as u32, |area| {
        for (panel, (scenario, outcome)) in area.split_evenly((shown.len().max(1), 1)).iter().zip(&shown) {
            let title = format!("{}: Mbit/s over seconds", scenario.title);
            let first = outcome.flows.iter().map(|flow| flow.start).min().unwrap_or(0);
            let lines: Vec<_> =
                outcome.flows.iter().map(|flow| (flow.contender, rates(flow, first))).collect();
            chart(panel, &title, scenario.path.rate, f64::from(scenario.seconds), &lines)?;
        }
        Ok(())
    })
}

/// Lines: window, round trip and rate of a flow of each contender that has the path to itself.
pub(crate) fn course(results: &Results<'_>, all: &[Scenario]) -> Result<String> {
    let Some(scenario) = all.iter().find(|scenario| scenario.shows_course()) else {
        return draw(PANEL, |_| Ok(()));
    };
    let flows = Contender::ALL.into_iter().filter_map(|who| {
        let outcomes = results.outcomes(scenario, who);
        outcomes.first()?.1.flows.first()
    });
    let flows: Vec<&FlowOutcome> = flows.collect();
    let over_time = |of: &dyn Fn(&Point) -> Option<f64>| -> Vec<Line> {
        let line = |flow: &FlowOutcome| {
            let seconds = |point: &Point| point.at.saturating_sub(flow.start) as f64 / 1e6;
            flow.points.iter().filter_map(|point| Some((seconds(point), of(point)?))).collect()
        };
        flows.iter().map(|flow| (flow.contender, line(flow))).collect()
    };
    let panels = [
        ("congestion window, packets", over_time(&|point| point.window.map(f64::from))),
        ("smoothed round trip, ms", over_time(&|point| point.rtt.map(|micros| f64::from(micros) / 1e3))),
        ("Mbit/s", flows.iter().map(|flow| (flow.contender, rates(flow, flow.start))).collect()),
    ];
    draw(PANEL * panels.len() as u32, |area| {
        for (panel, (what, lines)) in area.split_evenly((panels.len(), 1)).iter().zip(panels) {
            let most = lines.iter().flat_map(|(_, line)| line).map(|(_, value)| *value).fold(1.0, f64::max);
            let title = format!("{}: {what} over seconds", scenario.name());
            chart(panel, &title, most, f64::from(scenario.seconds), &lines)?;
        }
        Ok(())
    })
}

/// Megabits a second over seconds since `first`.
fn rates(flow: &FlowOutcome, first: u64) -> Vec<(f64, f64)> {
    let rate = |pair: &[Point]| {
        let [before, .., after] = pair else { return None };
        let micros = after.at.checked_sub(before.at).filter(|&micros| micros > 0)?;
        let bits = after.bytes.saturating_sub(before.bytes) as f64 * 8.0;
        Some((after.at.saturating_sub(first) as f64 / 1e6, bits / micros as f64))
    };
    flow.points.windows(SMOOTH + 1).filter_map(rate).collect()
}

type Line = (Contender, Vec<(f64, f64)>);

fn chart(area: &Area<'_>, title: &str, most: f64, seconds: f64, lines: &[Line]) -> Result<()> {
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 13))
        .margin(8)
        .x_label_area_size(22)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..seconds, 0.0..most * 1.1)
        .map_err(failed)?;
    chart.configure_mesh().light_line_style(WHITE).draw().map_err(failed)?;
    for who in Contender::ALL {
        let mut of = lines.iter().filter(|(contender, _)| *contender == who).peekable();
        let is_shown = of.peek().is_some();
        for (index, (_, line)) in of.enumerate() {
            let series = LineSeries::new(line.iter().copied(), color(who).stroke_width(2));
            let drawn = chart.draw_series(series).map_err(failed)?;
            if index == 0 && is_shown {
                let key =
                    move |(x, y)| PathElement::new(vec![(x, y), (x + 14, y)], color(who).stroke_width(2));
                drawn.label(who.name()).legend(key);
            }
        }
    }
    let labels = &mut chart.configure_series_labels();
    labels.background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.2)).draw().map_err(failed)
}
