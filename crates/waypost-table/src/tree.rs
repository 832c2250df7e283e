//! Look-ups in the tree of a mapped LMDB file, and its entries in order. Both use [`Page`], so that damage is found and
//! does no harm.
//!
//! A value that is found is verified by its own checks (`entry`). "Not found" is only certain if the leaf that would
//! have the key is undamaged and the path to it was right: the branch keys that led to this leaf and not to its
//! neighbours must be the first keys of this leaf and of the next one. (LMDB copies them from there, and entries are
//! never removed.)

use crate::entry::Entry;
use crate::meta;
use crate::page::{EntryIndex, Fault, HEAD_BYTES, LEVELS_MAX, Page, Value, long_pages};

/// One state of the tree. Its pages must not change during its lifetime, which a read transaction ensures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tree<'m> {
    /// The bytes of the file.
    pub(crate) bytes: &'m [u8],
    pub(crate) page_bytes: usize,
    pub(crate) root: u64,
}

impl<'m> Tree<'m> {
    fn run(&self, first: u64, bytes: usize) -> Result<&'m [u8], Fault> {
        let at = usize::try_from(first).ok().and_then(|first| first.checked_mul(self.page_bytes));
        let run = at.and_then(|at| self.bytes.get(at..at.checked_add(bytes)?));
        run.ok_or(Fault { page: first, what: "it lies behind the end of the file" })
    }

    #[inline]
    fn page(&self, number: u64) -> Result<Page<'m>, Fault> {
        Page::new(self.run(number, self.page_bytes)?, number)
    }

    fn value(&self, value: Value<'m>) -> Result<&'m [u8], Fault> {
        match value {
            Value::Here(bytes) => Ok(bytes),
            Value::Long { first, bytes } => {
                long_pages(self.run(first, HEAD_BYTES)?, first, self.page_bytes, bytes)?;
                Ok(&self.run(first, HEAD_BYTES.saturating_add(bytes))?[HEAD_BYTES..])
            }
        }
    }

    /// The value of this key. `None` only if it is certain that there is none.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<&'m [u8]>, Fault> {
        let mut page = self.page(self.root)?;
        for _ in 0..LEVELS_MAX {
            if page.is_leaf {
                return match page.entry_index(key)? {
                    EntryIndex::At(index) => self.value(page.entry(index)?.1).map(Some),
                    EntryIndex::Before(_) => self.prove_absent(key).map(|()| None),
                };
            }
            page = self.page(page.child(page.child_index(key)?)?)?;
        }
        Err(page.fault("it lies too deep"))
    }

    /// Follows the path to this key again, and checks everything that could have hidden it.
    #[cold]
    fn prove_absent(&self, key: &[u8]) -> Result<(), Fault> {
        let mut page = self.page(self.root)?;
        let mut first: Option<&[u8]> = None;
        let mut next: Option<(&[u8], u64)> = None;
        for _ in 0..LEVELS_MAX {
            page.check(|a, b| a < b)?;
            if page.is_leaf {
                return self.prove_leaf(&page, first, next);
            }
            let index = page.child_index(key)?;
            if index > 0 {
                first = Some(page.node(index)?.key);
            }
            if index + 1 < page.len() {
                next = Some((page.node(index + 1)?.key, page.child(index + 1)?));
            }
            page = self.page(page.child(index)?)?;
        }
        Err(page.fault("it lies too deep"))
    }

    fn prove_leaf(&self, page: &Page<'_>, first: Option<&[u8]>, next: Option<(&[u8], u64)>) -> Result<(), Fault> {
        if first.is_some_and(|first| page.node(0).map(|node| node.key) != Ok(first)) {
            return Err(page.fault("it does not begin where its branch says"));
        }
        if let Some((key, number)) = next
            && self.first_key(number)? != key
        {
            return Err(Fault { page: number, what: "it does not begin where its branch says" });
        }
        for index in 0..page.len() {
            let (key, value) = page.entry(index)?;
            if !is_sound(key, self.value(value)?) {
                return Err(page.fault("an entry failed its checksum"));
            }
        }
        Ok(())
    }

    fn first_key(&self, number: u64) -> Result<&'m [u8], Fault> {
        let mut page = self.page(number)?;
        for _ in 0..LEVELS_MAX {
            if page.is_leaf {
                return Ok(page.node(0)?.key);
            }
            page = self.page(page.child(0)?)?;
        }
        Err(page.fault("it lies too deep"))
    }

    /// Passes up to `count` entries after the key `after` to `take`, in order; every key is after an empty one.
    pub(crate) fn walk(
        &self,
        after: &[u8],
        count: usize,
        mut take: impl FnMut(&'m [u8], &'m [u8]),
    ) -> Result<(), Fault> {
        let mut way: Vec<(Page<'m>, usize)> = Vec::new();
        let mut page = self.page(self.root)?;
        while !page.is_leaf && way.len() < LEVELS_MAX {
            let index = page.child_index(after)?;
            way.push((page, index));
            page = self.page(page.child(index)?)?;
        }
        let mut index = match page.entry_index(after)? {
            EntryIndex::At(index) => index + 1,
            EntryIndex::Before(index) => index,
        };
        let mut left = count;
        loop {
            while left > 0 && page.is_leaf && index < page.len() {
                let (key, value) = page.entry(index)?;
                take(key, self.value(value)?);
                (index, left) = (index + 1, left - 1);
            }
            if left == 0 {
                return Ok(());
            }
            // Up to a branch with a next child, and down to its first leaf.
            loop {
                let Some((branch, last)) = way.pop() else { return Ok(()) };
                if last + 1 < branch.len() {
                    way.push((branch, last + 1));
                    page = self.page(branch.child(last + 1)?)?;
                    break;
                }
            }
            while !page.is_leaf && way.len() < LEVELS_MAX {
                way.push((page, 0));
                page = self.page(page.child(0)?)?;
            }
            if !page.is_leaf {
                return Err(page.fault("it lies too deep"));
            }
            index = 0;
        }
    }
}

/// Whether an entry is what was written for its key, as far as the table can verify.
pub(crate) fn is_sound(key: &[u8], value: &[u8]) -> bool {
    match key {
        meta::META_KEY => meta::Meta::decode(value).is_ok(),
        meta::DOMAINS_KEY => meta::unseal(value).is_some(),
        _ => key.contains(&0) && Entry::decode(key, value).is_ok(),
    }
}
