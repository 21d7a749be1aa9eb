//! Sets of u64 ranges: which bytes have arrived, which are asked for, which positions are claimed.

use std::collections::BTreeMap;
use std::ops::Range;

/// Disjoint, non-adjacent ranges.
///
/// Mostly there is one, that grows at its end: the last one is kept outside of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RangeSet {
    lower: BTreeMap<u64, u64>,
    /// Above all others; empty only if the set is.
    last: Range<u64>,
}

impl RangeSet {
    /// Adds `range`; returns how many values were new.
    pub(crate) fn insert(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        if (self.last.start..=self.last.end).contains(&range.start) && !self.last.is_empty() {
            let new = range.end.saturating_sub(self.last.end);
            self.last.end += new;
            return new;
        }
        if range.start > self.last.end || self.last.is_empty() {
            let before = std::mem::replace(&mut self.last, range);
            if !before.is_empty() {
                self.lower.insert(before.start, before.end);
            }
            return self.last.end - self.last.start;
        }
        self.insert_below(range)
    }

    /// Adds a range that begins below the last one.
    fn insert_below(&mut self, range: Range<u64>) -> u64 {
        let (mut start, mut end) = (range.start, range.end);
        let mut known = 0;
        if let Some((&before, &until)) = self.lower.range(..=start).next_back()
            && until >= start
        {
            known += until.min(end) - start;
            start = before;
            end = end.max(until);
        }
        while let Some((&next, &until)) = self.lower.range(range.start + 1..=end).next() {
            known += until.min(range.end).saturating_sub(next);
            end = end.max(until);
            self.lower.remove(&next);
        }
        if end >= self.last.start {
            known += self.last.end.min(range.end).saturating_sub(self.last.start);
            self.lower.remove(&start);
            self.last = start..end.max(self.last.end);
        } else {
            self.lower.insert(start, end);
        }
        (range.end - range.start) - known
    }

    /// How many ranges there are.
    pub(crate) fn len(&self) -> usize {
        self.lower.len() + usize::from(!self.last.is_empty())
    }

    /// Takes `range` out.
    pub(crate) fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        if range.start < self.last.start {
            self.remove_below(&range);
        }
        if range.end <= self.last.start || range.start >= self.last.end {
            return;
        }
        let (before, behind) = (self.last.start..range.start, range.end..self.last.end);
        match (before.is_empty(), behind.is_empty()) {
            (_, false) => {
                if !before.is_empty() {
                    self.lower.insert(before.start, before.end);
                }
                self.last = behind;
            }
            (false, true) => self.last = before,
            (true, true) => self.last = self.lower.pop_last().map_or(0..0, |(start, end)| start..end),
        }
    }

    /// Takes `range` out of all but the last.
    fn remove_below(&mut self, range: &Range<u64>) {
        if let Some((&before, &until)) = self.lower.range(..range.start).next_back()
            && until > range.start
        {
            self.lower.insert(before, range.start);
            if until > range.end {
                self.lower.insert(range.end, until);
                return;
            }
        }
        while let Some((&next, &until)) = self.lower.range(range.clone()).next() {
            self.lower.remove(&next);
            if until > range.end {
                self.lower.insert(range.end, until);
            }
        }
    }

    /// The first stretch at or after `from` that is not in the set, up to `limit`.
    pub(crate) fn first_gap(&self, from: u64, limit: u64) -> Option<Range<u64>> {
        let gap = if from >= self.last.start {
            from.max(self.last.end)..limit
        } else {
            let start = match self.lower.range(..=from).next_back() {
                Some((_, &until)) if until > from => until,
                _ => from,
            };
            let next = self.lower.range(start..).next().map_or(self.last.start, |(&next, _)| next);
            start..next.min(limit)
        };
        (gap.start < gap.end).then_some(gap)
    }

    /// The stretches of `range` that are not in the set.
    pub(crate) fn gaps(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut from = range.start;
        std::iter::from_fn(move || {
            let gap = self.first_gap(from, range.end)?;
            from = gap.end;
            Some(gap)
        })
    }

    /// The end of the stretch that contains `value`, if any does.
    pub(crate) fn end_of(&self, value: u64) -> Option<u64> {
        if value >= self.last.start {
            return (value < self.last.end).then_some(self.last.end);
        }
        self.lower.range(..=value).next_back().map(|(_, &until)| until).filter(|&until| until > value)
    }

    pub(crate) fn contains(&self, value: u64) -> bool {
        self.end_of(value).is_some()
    }

    /// One past the largest value.
    pub(crate) fn end(&self) -> Option<u64> {
        (!self.last.is_empty()).then_some(self.last.end)
    }

    /// The ranges in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        let last = Some(self.last.clone()).filter(|last| !last.is_empty());
        self.lower.iter().map(|(&start, &end)| start..end).chain(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// The oracle is a set of single values.
        #[test]
        fn agrees_with_a_set_of_values(steps in prop::collection::vec((any::<bool>(), 0u64..60, 0u64..20), 1..60)) {
            let mut ranges = RangeSet::default();
            let mut oracle = BTreeSet::new();
            for (insert, start, length) in steps {
                let range = start..start + length;
                if insert {
                    let new = range.clone().filter(|value| oracle.insert(*value)).count() as u64;
                    prop_assert_eq!(ranges.insert(range), new);
                } else {
                    range.clone().for_each(|value| { oracle.remove(&value); });
                    ranges.remove(range);
                }
                let listed: Vec<u64> = ranges.iter().flatten().collect();
                prop_assert_eq!(&listed, &oracle.iter().copied().collect::<Vec<_>>());
                let missing: Vec<u64> = ranges.gaps(0..90).flatten().collect();
                prop_assert_eq!(missing, (0..90).filter(|value| !oracle.contains(value)).collect::<Vec<_>>());
                let spans: Vec<_> = ranges.iter().collect();
                prop_assert_eq!(ranges.len(), spans.len());
                prop_assert!(spans.windows(2).all(|pair| pair[0].end < pair[1].start));
                prop_assert!((0..90).all(|value| ranges.contains(value) == oracle.contains(&value)));
                for from in 0..90 {
                    let start = (from..80).find(|value| !oracle.contains(value));
                    let gap = start.map(|start| start..(start..80).find(|at| oracle.contains(at)).unwrap_or(80));
                    prop_assert_eq!(ranges.first_gap(from, 80), gap);
                }
                prop_assert_eq!(ranges.end(), oracle.last().map(|last| last + 1));
            }
        }
    }
}
