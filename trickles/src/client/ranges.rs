//! Sets of u64 ranges: which bytes have arrived, which are asked for, which positions are claimed.

use std::collections::BTreeMap;
use std::ops::Range;

/// Disjoint, non-adjacent ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RangeSet(BTreeMap<u64, u64>);

impl RangeSet {
    /// Adds `range`; returns how many values were new.
    pub(crate) fn insert(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let (mut start, mut end) = (range.start, range.end);
        let mut known = 0;
        if let Some((&before, &until)) = self.0.range(..=start).next_back()
            && until >= start
        {
            known += until.min(end) - start;
            start = before;
            end = end.max(until);
        }
        while let Some((&next, &until)) = self.0.range(range.start + 1..=end).next() {
            known += until.min(range.end).saturating_sub(next);
            end = end.max(until);
            self.0.remove(&next);
        }
        self.0.insert(start, end);
        (range.end - range.start) - known
    }

    /// Takes `range` out.
    pub(crate) fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        if let Some((&before, &until)) = self.0.range(..range.start).next_back()
            && until > range.start
        {
            self.0.insert(before, range.start);
            if until > range.end {
                self.0.insert(range.end, until);
                return;
            }
        }
        while let Some((&next, &until)) = self.0.range(range.clone()).next() {
            self.0.remove(&next);
            if until > range.end {
                self.0.insert(range.end, until);
            }
        }
    }

    /// The first stretch at or after `from` that is not in the set, up to `limit`.
    pub(crate) fn first_gap(&self, from: u64, limit: u64) -> Option<Range<u64>> {
        let start = match self.0.range(..=from).next_back() {
            Some((_, &until)) if until > from => until,
            _ => from,
        };
        let end = self.0.range(start..).next().map_or(limit, |(&next, _)| next.min(limit));
        (start < end).then_some(start..end)
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
        self.0.range(..=value).next_back().map(|(_, &until)| until).filter(|&until| until > value)
    }

    pub(crate) fn contains(&self, value: u64) -> bool {
        self.end_of(value).is_some()
    }

    /// One past the largest value.
    pub(crate) fn end(&self) -> Option<u64> {
        self.0.last_key_value().map(|(_, &until)| until)
    }

    /// The ranges in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.0.iter().map(|(&start, &end)| start..end)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
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
                prop_assert!(spans.windows(2).all(|pair| pair[0].end < pair[1].start));
                prop_assert_eq!(ranges.contains(30), oracle.contains(&30));
                prop_assert_eq!(ranges.end(), oracle.last().map(|last| last + 1));
            }
        }
    }
}
