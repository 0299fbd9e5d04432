//! What an expression may cost on an answer, reckoned before it is evaluated.
//!
//! An upper bound in units of about 50 ns and, for what is built, of at most 1 kB, for expressions that [`shape`](super::shape) lets through. A reference to the
//! answer is reckoned as if all of it were copied or compared.

use kube::core::cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators,
};

use super::{expression::World, shape::root};

/// The most that one evaluation may cost: about a second.
pub const MAX: u64 = 20_000_000;

/// The most that one value may take which an evaluation builds: about 20 MB.
const BUILT_MAX: u64 = 25_000;

/// How many bytes are copied or compared for one unit.
const BYTES: u64 = 8;
/// What it costs to compile a pattern: at all, for each character, for each class such as `\w`, and with repetitions.
const PATTERN: u64 = 2_000;
const PATTERN_CHARACTER: u64 = 200;
const PATTERN_CLASS: u64 = 20_000;
const PATTERN_REPEATED: u64 = 1_000_000;
/// What it costs to run it, in units of what it costs to read the text.
const PATTERN_RUN: u64 = 128;

/// How large an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Its bytes.
    pub bytes: u64,
    /// How many values it has, in all lists and maps together.
    pub nodes: u64,
    /// The length of its longest list or map.
    pub longest: u64,
    /// The length of the longest one inside an element of a list.
    pub longest_inside: u64,
}

/// The cost of an expression.
#[must_use]
pub fn of(tree: &IdedExpr, size: Size, world: &World) -> u64 {
    Reckoning { size, world, innermost: None, what: What::All }.cost(&tree.expr)
}

/// What is reckoned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// All that an evaluation costs.
    All,
    /// How large its value can be: the same, but a pattern gives true or false.
    Value,
}

#[derive(Clone, Copy)]
struct Reckoning<'a> {
    size: Size,
    world: &'a World,
    /// The variable of the loop around the expression.
    innermost: Option<&'a str>,
    what: What,
}

impl Reckoning<'_> {
    fn cost(&self, expr: &Expr) -> u64 {
        let value = Self { what: What::Value, ..*self };
        if self.what == What::All && is_built(expr) && value.parts(expr) > BUILT_MAX {
            u64::MAX
        } else {
            self.parts(expr)
        }
    }

    fn parts(&self, expr: &Expr) -> u64 {
        match expr {
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => self.cost(&select.operand.expr) + 1,
            Expr::List(list) => self.all(&list.elements),
            Expr::Map(map) => {
                let entries = map.entries.iter().map(|entry| match &entry.expr {
                    EntryExpr::StructField(field) => self.cost(&field.value.expr),
                    EntryExpr::MapEntry(pair) => self.cost(&pair.key.expr).saturating_add(self.cost(&pair.value.expr)),
                });
                entries.fold(1, u64::saturating_add)
            }
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(inner) => self.comprehension(inner),
            Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => 1,
        }
    }

    fn all(&self, parts: &[IdedExpr]) -> u64 {
        parts.iter().map(|part| self.cost(&part.expr)).fold(1, u64::saturating_add)
    }

    fn variable(&self, name: &str) -> u64 {
        if name.starts_with('@') || self.world.scalars.contains(&name) {
            1
        } else if self.innermost == Some(name) {
            // All elements of a list are together as large as the list.
            1 + self.size.bytes / BYTES / self.size.longest.max(1)
        } else {
            1 + self.size.bytes / BYTES
        }
    }

    fn call(&self, call: &CallExpr) -> u64 {
        let target = call.target.as_ref().map_or(0, |target| self.cost(&target.expr));
        let arguments = self.all(&call.args);
        let plain = target.saturating_add(arguments);
        if call.func_name != "matches" || self.what == What::Value {
            return plain;
        }
        let compiled = call.args.last().map_or(PATTERN_REPEATED, |pattern| pattern_cost(&pattern.expr));
        plain.saturating_mul(PATTERN_RUN).saturating_add(compiled)
    }

    fn comprehension(&self, inner: &ComprehensionExpr) -> u64 {
        let range = &inner.iter_range.expr;
        let (steps, longest) = match range {
            Expr::List(list) => (list.elements.len() as u64, list.elements.len() as u64),
            // The lists inside the elements of one list are together no more than the answer.
            path if root(path).is_some_and(|name| Some(name) == self.innermost) => {
                (self.size.nodes / self.size.longest.max(1) + 1, self.size.longest_inside)
            }
            _ => (self.size.longest, self.size.longest),
        };
        let is_list = is_list(inner);
        if self.what == What::Value && !is_list {
            return 1;
        }
        let inside = Reckoning { innermost: Some(&inner.iter_var), ..*self };
        let step = inside.cost(&inner.loop_cond.expr).saturating_add(inside.cost(&inner.loop_step.expr));
        // The interpreter copies the list that it builds at every step.
        let copied = match (is_list, self.what) {
            (true, What::All) => {
                let element = Reckoning { what: What::Value, ..inside }.cost(&inner.loop_step.expr);
                element.saturating_mul(longest / 2 + 1)
            }
            _ => 0,
        };
        let walked = steps.saturating_mul(step.saturating_add(copied));
        walked.saturating_add(self.cost(range)).saturating_add(1)
    }
}

/// Whether a value is built that holds its parts at the same time.
fn is_built(expr: &Expr) -> bool {
    match expr {
        Expr::List(_) | Expr::Map(_) => true,
        Expr::Call(call) => call.func_name == operators::ADD,
        Expr::Comprehension(inner) => is_list(inner),
        _ => false,
    }
}

fn is_list(inner: &ComprehensionExpr) -> bool {
    matches!(inner.accu_init.expr, Expr::List(_))
}

fn pattern_cost(pattern: &Expr) -> u64 {
    let Expr::Literal(LiteralValue::String(text)) = pattern else { return PATTERN_REPEATED };
    let text = text.inner();
    let of = |unit: u64, count: usize| unit.saturating_mul(count as u64);
    let repeated = if text.contains('{') { PATTERN_REPEATED } else { 0 };
    PATTERN + of(PATTERN_CHARACTER, text.len()) + of(PATTERN_CLASS, text.matches('\\').count()) + repeated
}
