//! Which expressions are evaluated at all.
//!
//! Two forms of CEL have no bound. A comprehension over a computed list can double its list again and again:
//! `[x].map(a, a + a).map(a, a + a)…`; so comprehensions walk over parts of the answer, or over constants. And depth
//! multiplies, so there is a largest one.
//!
//! Selection is rewritten to an index: the interpreter's selection on something that is no map gives `false` instead of
//! an error, and `!json.failed` would succeed where `json` is a list.

use kube::core::cel::cel::common::ast::{CallExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue, operators};

use super::expression::{ExpressionError, World};

/// How deep comprehensions may stand in each other.
pub const DEPTH_MAX: usize = 2;

/// Functions that the interpreter has and that make sense here.
const FUNCTIONS: [&str; 24] = [
    "contains",
    "size",
    "max",
    "min",
    "startsWith",
    "endsWith",
    "matches",
    "string",
    "bytes",
    "double",
    "int",
    "uint",
    "duration",
    "timestamp",
    "getFullYear",
    "getMonth",
    "getDayOfYear",
    "getDayOfMonth",
    "getDate",
    "getDayOfWeek",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
];

/// Refuses what must not be evaluated, and rewrites selections.
///
/// # Errors
/// The first thing that is refused.
pub fn check(tree: &mut IdedExpr, world: &'static World) -> Result<(), ExpressionError> {
    walk(tree, &mut Scope { world, loops: Vec::new() })
}

/// The names that there are.
struct Scope {
    world: &'static World,
    /// The variables of the loops around an expression.
    loops: Vec<String>,
}

/// The name that a path such as `json.items[0]` starts with; none where the expression is no path.
pub fn root(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Ident(name) => Some(name),
        Expr::Call(call) if call.func_name == operators::INDEX && call.args.len() == 2 => {
            let plain = matches!(call.args[1].expr, Expr::Literal(_)) || root(&call.args[1].expr).is_some();
            if plain { root(&call.args[0].expr) } else { None }
        }
        _ => None,
    }
}

fn walk(tree: &mut IdedExpr, scope: &mut Scope) -> Result<(), ExpressionError> {
    index_instead_of_select(tree);
    match &mut tree.expr {
        Expr::Ident(name) => known(name, scope),
        Expr::Literal(_) => Ok(()),
        Expr::Select(select) => walk(&mut select.operand, scope),
        Expr::List(list) => list.elements.iter_mut().try_for_each(|element| walk(element, scope)),
        Expr::Map(map) => map.entries.iter_mut().try_for_each(|entry| walk_entry(entry, scope)),
        Expr::Call(call) => walk_call(call, scope),
        Expr::Comprehension(inner) => {
            walk(&mut inner.iter_range, scope)?;
            if scope.loops.len() == DEPTH_MAX {
                return Err(ExpressionError::Depth);
            }
            if !is_range(&inner.iter_range.expr) {
                return Err(ExpressionError::Range(format!("the comprehension over {}", inner.iter_var), scope.world));
            }
            if known(&inner.iter_var, scope).is_ok() {
                return Err(ExpressionError::Shadow(inner.iter_var.clone()));
            }
            scope.loops.push(inner.iter_var.clone());
            for part in [&mut inner.accu_init, &mut inner.loop_cond, &mut inner.loop_step, &mut inner.result] {
                walk(part, scope)?;
            }
            scope.loops.pop();
            Ok(())
        }
        Expr::Struct(made) => Err(ExpressionError::Struct(made.type_name.clone())),
        Expr::Unspecified => Err(ExpressionError::Malformed(String::new(), scope.world)),
    }
}

fn walk_call(call: &mut CallExpr, scope: &mut Scope) -> Result<(), ExpressionError> {
    let is_operator = !call.func_name.starts_with(|c: char| c.is_ascii_alphabetic());
    if !is_operator && !FUNCTIONS.contains(&call.func_name.as_str()) {
        return Err(ExpressionError::Function(call.func_name.clone()));
    }
    call.target.iter_mut().try_for_each(|target| walk(target, scope))?;
    call.args.iter_mut().try_for_each(|argument| walk(argument, scope))
}

fn walk_entry(entry: &mut IdedEntryExpr, scope: &mut Scope) -> Result<(), ExpressionError> {
    match &mut entry.expr {
        EntryExpr::StructField(field) => walk(&mut field.value, scope),
        EntryExpr::MapEntry(pair) => {
            walk(&mut pair.key, scope)?;
            walk(&mut pair.value, scope)
        }
    }
}

/// `@result` is the interpreter's own, and cannot be written.
fn known(name: &str, scope: &Scope) -> Result<(), ExpressionError> {
    let is_bound = scope.loops.iter().any(|bound| bound == name);
    let is_known = scope.world.variables.contains(&name) || name.starts_with('@') || is_bound;
    if is_known { Ok(()) } else { Err(ExpressionError::Variable(name.to_owned(), scope.world)) }
}

fn is_range(expr: &Expr) -> bool {
    match expr {
        Expr::List(list) => list.elements.iter().all(|element| matches!(element.expr, Expr::Literal(_))),
        other => root(other).is_some_and(|name| !name.starts_with('@')),
    }
}

fn index_instead_of_select(tree: &mut IdedExpr) {
    if !matches!(&tree.expr, Expr::Select(select) if !select.test) {
        return;
    }
    if let Expr::Select(select) = std::mem::take(&mut tree.expr) {
        let key = IdedExpr { id: tree.id, expr: Expr::Literal(LiteralValue::String(select.field.as_str().into())) };
        let args = vec![*select.operand, key];
        tree.expr = Expr::Call(CallExpr { func_name: operators::INDEX.to_owned(), target: None, args });
    }
}
