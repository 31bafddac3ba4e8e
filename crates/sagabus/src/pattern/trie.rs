//! Many patterns at once: which of them want an event, found by its words and not by asking each pattern.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use super::{Pattern, Word};
use crate::event::{EventType, TOKENS_MAX};

/// The root of the trie; it is always there.
const ROOT: u32 = 0;

/// Patterns, each for an id such as that of a subscription. An id may have several patterns.
///
/// ```
/// # fn main() -> sagabus::Result<()> {
/// use sagabus::pattern::{Pattern, PatternSet};
///
/// let mut set = PatternSet::default();
/// set.insert(&Pattern::new("sample.*")?, "lab");
/// set.insert(&Pattern::new("*.created")?, "lab");
/// set.insert(&Pattern::new("**")?, "audit");
///
/// let mut wanted = Vec::new();
/// set.matches(&"sample.created".parse()?, |id| wanted.push(*id));
/// wanted.sort_unstable();
/// assert_eq!(wanted, ["audit", "lab"]);
/// # Ok(())
/// # }
/// ```
///
/// # Cost
/// An event walks down the trie word by word, on at most two ways at each word: the word itself and `*`. Patterns that
/// have neither are never looked at, so the cost follows the patterns that match so far, not those that there are. Both
/// ways at all of sixteen words are 65,536 places: the most that one event can cost, and patterns must be made for it.
#[derive(Clone, Debug)]
pub struct PatternSet<T> {
    /// Words of patterns, as small numbers.
    words: HashMap<Box<str>, Used>,
    free_words: Vec<u32>,
    nodes: Vec<Node>,
    free_nodes: Vec<u32>,
    ids: HashMap<T, u32>,
    slots: Vec<Option<Slot<T>>>,
    free_slots: Vec<u32>,
    patterns: usize,
}

/// A word's number, and how many branches of the trie bear it.
#[derive(Clone, Debug)]
struct Used {
    number: u32,
    branches: u32,
}

/// An id, and how many patterns it has.
#[derive(Clone, Debug)]
struct Slot<T> {
    id: T,
    patterns: u32,
}

/// A place after some words. Lists are sorted, so that a search in them is short and a new number goes to the end.
#[derive(Clone, Debug, Default)]
struct Node {
    /// Where a word leads, by its number.
    words: Vec<(u32, u32)>,
    /// Where `*` leads.
    any: Option<u32>,
    /// Ids whose pattern ends here.
    here: Vec<u32>,
    /// Ids whose pattern takes all the rest, which is at least one word.
    rest: Vec<u32>,
}

impl Node {
    fn is_empty(&self) -> bool {
        self.words.is_empty() && self.any.is_none() && self.here.is_empty() && self.rest.is_empty()
    }
}

/// A step from a node to the next one.
#[derive(Clone, Copy)]
enum Branch {
    Word(u32),
    Any,
}

impl<T> Default for PatternSet<T> {
    fn default() -> Self {
        Self {
            words: HashMap::new(),
            free_words: Vec::new(),
            nodes: vec![Node::default()],
            free_nodes: Vec::new(),
            ids: HashMap::new(),
            slots: Vec::new(),
            free_slots: Vec::new(),
            patterns: 0,
        }
    }
}

impl<T: Clone + Eq + Hash> PatternSet<T> {
    /// How many patterns there are, those of several ids once for each.
    #[must_use]
    pub fn len(&self) -> usize {
        self.patterns
    }

    /// Whether there is no pattern.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns == 0
    }

    /// Adds a pattern for an id; false if it was there.
    pub fn insert(&mut self, pattern: &Pattern, id: T) -> bool {
        let slot = self.slot(id);
        let mut at = ROOT;
        for word in &pattern.words {
            at = match word {
                Word::Is(word) => self.grow(at, Some(word)),
                Word::Any => self.grow(at, None),
                Word::Rest => break,
            };
        }
        let ends = self.ends(at, pattern);
        let Some(Err(place)) = ends.as_ref().map(|it| it.binary_search(&slot)) else {
            return false;
        };
        if let Some(ends) = ends {
            ends.insert(place, slot);
        }
        if let Some(Some(slot)) = self.slots.get_mut(index(slot)) {
            slot.patterns += 1;
        }
        self.patterns += 1;
        true
    }

    /// Takes away a pattern of an id; false if it was not there.
    pub fn remove(&mut self, pattern: &Pattern, id: &T) -> bool {
        let Some(&slot) = self.ids.get(id) else {
            return false;
        };
        let Some((end, way)) = self.way(pattern) else {
            return false;
        };
        let ends = self.ends(end, pattern);
        let Some(Ok(place)) = ends.as_ref().map(|it| it.binary_search(&slot)) else {
            return false;
        };
        if let Some(ends) = ends {
            ends.remove(place);
        }
        self.patterns -= 1;
        self.release(slot);
        self.prune(end, pattern, way);
        true
    }

    /// Calls `visit` once for each id that has a pattern which wants this type.
    pub fn matches(&self, event_type: &EventType, mut visit: impl FnMut(&T)) {
        let mut words = [None; TOKENS_MAX];
        let mut count = 0;
        for (place, word) in words.iter_mut().zip(event_type.as_str().split('.')) {
            *place = self.words.get(word).map(|it| it.number);
            count += 1;
        }
        let words = words.get(..count).unwrap_or_default();
        // Only ids with several patterns can come twice; they wait until all are known.
        let mut several = Vec::new();
        self.walk(ROOT, words, &mut |slot| {
            if let Some(Some(found)) = self.slots.get(index(slot)) {
                if found.patterns == 1 {
                    visit(&found.id);
                } else {
                    several.push(slot);
                }
            }
        });
        several.sort_unstable();
        several.dedup();
        for slot in several {
            if let Some(Some(found)) = self.slots.get(index(slot)) {
                visit(&found.id);
            }
        }
    }

    /// As deep as an event type has words.
    fn walk(&self, at: u32, words: &[Option<u32>], found: &mut impl FnMut(u32)) {
        let Some(node) = self.nodes.get(index(at)) else {
            return;
        };
        let Some((word, after)) = words.split_first() else {
            node.here.iter().copied().for_each(found);
            return;
        };
        node.rest.iter().copied().for_each(&mut *found);
        if let Some(next) = word.and_then(|word| next(node, Branch::Word(word))) {
            self.walk(next, after, found);
        }
        if let Some(next) = node.any {
            self.walk(next, after, found);
        }
    }

    /// The list that the end of `pattern` stands in, at the node before its end.
    fn ends(&mut self, at: u32, pattern: &Pattern) -> Option<&mut Vec<u32>> {
        let node = self.nodes.get_mut(index(at))?;
        Some(if pattern.words.last() == Some(&Word::Rest) {
            &mut node.rest
        } else {
            &mut node.here
        })
    }

    fn slot(&mut self, id: T) -> u32 {
        match self.ids.entry(id) {
            Entry::Occupied(slot) => *slot.get(),
            Entry::Vacant(entry) => {
                let new = Some(Slot {
                    id: entry.key().clone(),
                    patterns: 0,
                });
                *entry.insert(put(&mut self.slots, &mut self.free_slots, new))
            }
        }
    }

    /// One pattern less for an id; the last one takes the id with it.
    fn release(&mut self, slot: u32) {
        let Some(place) = self.slots.get_mut(index(slot)) else {
            return;
        };
        if let Some(slot) = place
            && slot.patterns > 1
        {
            slot.patterns -= 1;
        } else if let Some(gone) = place.take() {
            self.ids.remove(&gone.id);
            self.free_slots.push(slot);
        }
    }

    /// The node that a word, or `*`, leads to, made where there is none.
    fn grow(&mut self, at: u32, word: Option<&str>) -> u32 {
        let branch = match word {
            None => Branch::Any,
            Some(word) => match self.words.get(word) {
                Some(used) => Branch::Word(used.number),
                None => {
                    let fresh = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
                    let number = self.free_words.pop().unwrap_or(fresh);
                    let used = Used {
                        number,
                        branches: 0,
                    };
                    self.words.insert(word.into(), used);
                    Branch::Word(number)
                }
            },
        };
        if let Some(next) = self
            .nodes
            .get(index(at))
            .and_then(|node| next(node, branch))
        {
            return next;
        }
        let new = put(&mut self.nodes, &mut self.free_nodes, Node::default());
        if let Some(node) = self.nodes.get_mut(index(at)) {
            match branch {
                Branch::Any => node.any = Some(new),
                Branch::Word(number) => {
                    let place = node.words.partition_point(|(it, _)| *it < number);
                    node.words.insert(place, (number, new));
                }
            }
        }
        if let Some(used) = word.and_then(|word| self.words.get_mut(word)) {
            used.branches += 1;
        }
        new
    }

    /// Where `pattern` ends, and the nodes before it.
    fn way(&self, pattern: &Pattern) -> Option<(u32, Vec<(u32, Branch)>)> {
        let mut at = ROOT;
        let mut way = Vec::new();
        for word in &pattern.words {
            let branch = match word {
                Word::Is(word) => Branch::Word(self.words.get(word)?.number),
                Word::Any => Branch::Any,
                Word::Rest => break,
            };
            way.push((at, branch));
            at = next(self.nodes.get(index(at))?, branch)?;
        }
        Some((at, way))
    }

    /// Takes away what no pattern needs any more, from the end of `pattern` up.
    fn prune(&mut self, end: u32, pattern: &Pattern, mut way: Vec<(u32, Branch)>) {
        let mut at = end;
        while let Some((before, branch)) = way.pop() {
            if !self.nodes.get(index(at)).is_some_and(Node::is_empty) {
                return;
            }
            self.free_nodes.push(at);
            if let Some(node) = self.nodes.get_mut(index(before)) {
                match branch {
                    Branch::Any => node.any = None,
                    Branch::Word(number) => node.words.retain(|(it, _)| *it != number),
                }
            }
            if let Some(Word::Is(word)) = pattern.words.get(way.len())
                && let Some(used) = self.words.get_mut(word)
            {
                used.branches -= 1;
                if used.branches == 0 {
                    self.free_words.push(used.number);
                    self.words.remove(word);
                }
            }
            at = before;
        }
    }
}

fn next(node: &Node, branch: Branch) -> Option<u32> {
    match branch {
        Branch::Any => node.any,
        Branch::Word(number) => {
            let place = node
                .words
                .binary_search_by_key(&number, |(it, _)| *it)
                .ok()?;
            node.words.get(place).map(|(_, next)| *next)
        }
    }
}

/// Puts `new` into a free place, or behind the last one.
fn put<V>(places: &mut Vec<V>, free: &mut Vec<u32>, new: V) -> u32 {
    if let Some(number) = free.pop()
        && let Some(place) = places.get_mut(index(number))
    {
        *place = new;
        return number;
    }
    let number = u32::try_from(places.len());
    assert!(number.is_ok(), "four billion places fit into no memory");
    places.push(new);
    number.unwrap_or(u32::MAX)
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
