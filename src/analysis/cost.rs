//! What an expression may cost on an answer, reckoned before it is evaluated.
//!
//! An upper bound in units of about 50 ns, for expressions that [`shape`](super::shape) lets through. A reference to the
//! answer is reckoned as if all of it were copied or compared.

use kube::core::cel::cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, IdedExpr};

use super::shape::root;

/// The most that one evaluation may cost: about a second.
pub const MAX: u64 = 20_000_000;

/// A compiled pattern, and what it costs to run it over one byte.
const PATTERN: u64 = 20_000;
const PATTERN_BYTE: u64 = 16;
/// How many bytes are copied or compared for one unit.
const BYTES: u64 = 8;

/// How large an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Its bytes.
    pub bytes: u64,
    /// How many values it has, in all lists and maps together.
    pub nodes: u64,
    /// The length of its longest list or map.
    pub longest: u64,
}

/// The cost of an expression.
#[must_use]
pub fn of(tree: &IdedExpr, size: Size) -> u64 {
    cost(&tree.expr, size, None)
}

/// `innermost` is the variable of the loop around the expression.
fn cost(expr: &Expr, size: Size, innermost: Option<&str>) -> u64 {
    let all =
        |parts: &[IdedExpr]| parts.iter().map(|part| cost(&part.expr, size, innermost)).fold(1, u64::saturating_add);
    match expr {
        Expr::Ident(name) if name.starts_with('@') || name == "status" || name == "durationMs" => 1,
        // All elements of a list are together as large as the list.
        Expr::Ident(name) if innermost == Some(name) => 1 + size.bytes / BYTES / size.longest.max(1),
        Expr::Ident(_) => 1 + size.bytes / BYTES,
        Expr::Select(select) => cost(&select.operand.expr, size, innermost) + 1,
        Expr::List(list) => all(&list.elements),
        Expr::Map(map) => {
            let entries = map.entries.iter().map(|entry| match &entry.expr {
                EntryExpr::StructField(field) => cost(&field.value.expr, size, innermost),
                EntryExpr::MapEntry(pair) => {
                    cost(&pair.key.expr, size, innermost).saturating_add(cost(&pair.value.expr, size, innermost))
                }
            });
            entries.fold(1, u64::saturating_add)
        }
        Expr::Call(call) => {
            let target = call.target.as_ref().map_or(0, |target| cost(&target.expr, size, innermost));
            let pattern = if call.func_name == "matches" { PATTERN + size.bytes * PATTERN_BYTE } else { 0 };
            all(&call.args).saturating_add(target).saturating_add(pattern)
        }
        Expr::Comprehension(inner) => comprehension(inner, size, innermost),
        Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => 1,
    }
}

fn comprehension(inner: &ComprehensionExpr, size: Size, innermost: Option<&str>) -> u64 {
    let range = &inner.iter_range.expr;
    let (steps, longest) = match range {
        Expr::List(list) => (list.elements.len() as u64, list.elements.len() as u64),
        // The lists inside the elements of one list are together no more than the answer.
        path if root(path).is_some_and(|name| Some(name) == innermost) => {
            (size.nodes / size.longest.max(1) + 1, size.longest)
        }
        _ => (size.longest, size.longest),
    };
    let variable = Some(inner.iter_var.as_str());
    let step = cost(&inner.loop_cond.expr, size, variable).saturating_add(cost(&inner.loop_step.expr, size, variable));
    // The interpreter copies the list that it builds at every step.
    let copies = if matches!(inner.accu_init.expr, Expr::List(_)) { longest / 2 + 1 } else { 1 };
    let walked = steps.saturating_mul(step).saturating_mul(copies);
    walked.saturating_add(cost(range, size, innermost)).saturating_add(1)
}
