use std::{fmt, sync::Arc};

use crate::{
    extension::{self, Cursor, Extension, Linearizer},
    syntax::{Args, Example, OptionSpec, SyntaxError, opt, quote},
};

/// `-m comment`: a remark, which every packet matches. Kernel: `net/netfilter/xt_comment.c`.
///
/// Up to 255 bytes, any but NUL. Clones share the text: very many rules may have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    text: Arc<str>,
}

/// `XT_MAX_COMMENT_LEN`, with the NUL.
const LEN: usize = 256;

impl Extension for Comment {
    const NAME: &'static str = "comment";
    const SUMMARY: &'static str = "a remark; every packet matches";
    const OPTIONS: &'static [OptionSpec] = &[opt("comment", &["TEXT"], "the remark, up to 255 bytes")];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m comment --comment office -j DROP"),
        Example::ok("-m comment --comment 'the office' -j DROP", r#"-m comment --comment "the office" -j DROP"#),
        Example::same(r#"-m comment --comment "\"quoted\" \\ it\'s ünïcode ☃" -j DROP"#),
        Example::same(r#"-m comment --comment "" -j DROP"#),
        Example::same("-m comment --comment a -m comment --comment b -j DROP"),
        Example::fails("-m comment -j DROP", "needs `--comment TEXT`"),
        Example::fails("-m comment ! --comment office -j DROP", "`--comment` can't be negated"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let given = args.next().ok_or_else(|| args.error("needs `--comment TEXT`"))?;
        let text = given.text(0);
        if text.len() >= LEN {
            return Err(given.error(format!("a comment has {} bytes at most, this has {}", LEN - 1, text.len())));
        }
        Self::new(text).ok_or_else(|| given.error("a comment can't hold a NUL"))
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        let mut info = [0; LEN];
        info[..self.text.len()].copy_from_slice(self.text.as_bytes());
        out.xt_match(Self::NAME, 0, &info);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<LEN>(Self::NAME, 0)?;
        Self::new(extension::text(info)?)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/* {} */", self.text)
    }
}

impl Comment {
    /// A comment; `None` if it is too long or holds a NUL.
    pub fn new(text: &str) -> Option<Self> {
        (text.len() < LEN && !text.contains('\0')).then(|| Self { text: text.into() })
    }

    /// The remark.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Comment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("--comment ")?;
        f.write_str(&quote(&self.text))
    }
}
