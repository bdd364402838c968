//! Rarity of a query's terms, as a search finds it.
//!
//! Owns the order in which terms are looked for: the one that the fewest messages have comes first, so that where not all
//! of them are, the first mostly tells. What is rare in some channels is so in most.

use super::words::TermRange;

/// See the module.
#[derive(Debug)]
pub(super) struct Rarity(Vec<Found>);

#[derive(Debug)]
struct Found {
    term: TermRange,
    segments: usize,
    messages: usize,
}

impl Rarity {
    /// Nothing is known: the terms keep their order.
    pub(super) fn of(terms: &[TermRange]) -> Self {
        Self(terms.iter().map(|&term| Found { term, segments: 0, messages: 0 }).collect())
    }

    /// The terms, the rarest first; those behind that were not looked for yet.
    pub(super) fn order(&mut self) -> Vec<TermRange> {
        // Of 1,000 segments.
        self.0.sort_by_key(|found| (found.messages * 1_000).checked_div(found.segments).unwrap_or(usize::MAX));
        self.0.iter().map(|found| found.term).collect()
    }

    /// In a segment so many messages have the first term of the last order, the second, and so on, as far as was looked.
    pub(super) fn note(&mut self, with_terms: &[usize]) {
        for (found, messages) in self.0.iter_mut().zip(with_terms) {
            found.segments += 1;
            found.messages += messages;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::Term;
    use super::*;

    /// Of three terms, what segments had of them in the order of the last time, and the order then.
    fn check(segments: &[&[usize]], expected: [u32; 3]) {
        let terms = [1, 2, 3].map(|term| TermRange::from(Term(term)));
        let mut rarity = Rarity::of(&terms);
        let mut order = rarity.order();
        for with_terms in segments {
            rarity.note(with_terms);
            order = rarity.order();
        }
        assert_eq!(order, expected.map(|term| TermRange::from(Term(term))), "{segments:?}");
    }

    #[test]
    fn the_rarest_term_is_looked_for_first() {
        check(&[], [1, 2, 3]);
        check(&[&[0]], [1, 2, 3]);
        check(&[&[5, 2, 7]], [2, 1, 3]);
        check(&[&[5, 0]], [2, 1, 3]);
        check(&[&[5, 0], &[0], &[0]], [2, 1, 3]);
        check(&[&[1, 0], &[8]], [1, 2, 3]);
    }
}
