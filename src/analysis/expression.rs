//! CEL over an answer (`status`, `body`, `json` and `durationMs`), or over an object of the cluster (`object`).
//!
//! An expression is written by a user and runs on an answer that the new version wrote, so neither may cost much. The
//! language ends always; [`depth`](super::depth) and [`shape`](super::shape) refuse the forms whose cost grows without bound, and
//! [`cost`](super::cost) refuses an answer that is too large for what is left. Evaluation can still take about a second on
//! the largest answers, and the interpreter is somebody else's: callers evaluate on a thread for blocking work, with a
//! timeout.

use std::{collections::HashMap, sync::Arc};

use kube::core::cel::cel::{
    Context, ExecutionError, FunctionContext, Value,
    extractors::This,
    objects::Key,
    parser::{Expression as Tree, Parser},
};
use regex::RegexBuilder;
use serde_json::Value as Json;
use thiserror::Error;

use super::{
    cost::{self, Size},
    depth, shape,
    words::cut,
};

/// The longest expression, in bytes; as the schema has it.
pub const LENGTH_MAX: usize = 1024;

/// The most that a regular expression may take once it is compiled. A class of all letters of the world with a `+` fits.
const PATTERN_MAX: usize = 1024 * 1024;

/// What an expression may be about.
#[derive(Debug, PartialEq, Eq)]
pub struct World {
    /// The variables that there are.
    pub variables: &'static [&'static str],
    /// Those of them that are small whatever comes.
    pub scalars: &'static [&'static str],
    /// The variables as people are told them.
    pub named: &'static str,
    /// An expression that can be written.
    pub example: &'static str,
    /// A walk over a part of it.
    pub walk: &'static str,
}

/// An answer.
pub const ANSWER: World = World {
    variables: &["status", "body", "json", "durationMs"],
    scalars: &["status", "durationMs"],
    named: "status, body, json or durationMs",
    example: "status == 200",
    walk: "json.items.exists(...)",
};

/// An object as the cluster has it.
pub const OBJECT: World = World {
    variables: &["object"],
    scalars: &[],
    named: "object",
    example: "has(object.status.ready) && object.status.ready",
    walk: "object.status.conditions.exists(...)",
};

/// Why a text is no expression over an answer, or an object.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ExpressionError {
    /// It is longer than [`LENGTH_MAX`].
    #[error("the expression has {0} bytes, at most {LENGTH_MAX} are read: shorten it")]
    TooLong(usize),
    /// It is not CEL.
    #[error("\"{0}\" is not CEL: write one such as {example}", example = .1.example)]
    Malformed(String, &'static World),
    /// It names a variable that does not exist.
    #[error("there is no variable {0}: use {named}", named = .1.named)]
    Variable(String, &'static World),
    /// It calls a function that does not exist.
    #[error("there is no function {0}: use one of CEL's own, such as size, contains, startsWith or matches")]
    Function(String),
    /// It makes an object of a named type.
    #[error("objects of a type, {0}{{}}, cannot be made here: compare values instead")]
    Struct(String),
    /// Its brackets and operators stand inside each other too deeply.
    #[error("the expression is nested too deeply: use fewer brackets, or split the check in two")]
    Nested,
    /// A comprehension's variable has a name that is taken.
    #[error("{0} is taken: give the variable of the comprehension another name")]
    Shadow(String),
    /// Its comprehensions stand inside each other too deeply.
    #[error("all, exists, filter and map may stand in each other at most {max} deep: split the check in two", max = shape::DEPTH_MAX)]
    Depth,
    /// A comprehension walks over something that was computed.
    #[error(
        "{0} walks over a computed list: walk over a part of what there is, such as {walk}, or over constants",
        walk = .1.walk
    )]
    Range(String, &'static World),
}

/// Why an expression has no value.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum EvaluationError {
    /// It reads `json`, and the body is not JSON.
    #[error("the body is not JSON")]
    NotJson,
    /// The answer is too large for it.
    #[error("the answer is too large for the expression: walk over less of it")]
    TooCostly,
    /// Its value is neither true nor false.
    #[error("the expression gives {0}, not true or false: compare it with something")]
    NotBool(String),
    /// CEL's own reason.
    #[error("the expression cannot be evaluated: {0}")]
    Failed(String),
}

/// What an expression sees.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// The body as text.
    pub body: &'a str,
    /// The body as JSON, where it is JSON.
    pub json: Option<&'a Json>,
    /// How long the answer took.
    pub duration_ms: i64,
}

/// An expression that was checked.
#[derive(Debug, Clone)]
pub struct Expression {
    tree: Tree,
    world: &'static World,
}

/// Reads an expression over an answer.
///
/// # Errors
/// See [`ExpressionError`]; each says what to write instead.
pub fn compile(text: &str) -> Result<Expression, ExpressionError> {
    compile_over(text, &ANSWER)
}

/// Reads an expression over what there is.
///
/// # Errors
/// See [`ExpressionError`]; each says what to write instead.
pub fn compile_over(text: &str, world: &'static World) -> Result<Expression, ExpressionError> {
    if text.len() > LENGTH_MAX {
        return Err(ExpressionError::TooLong(text.len()));
    }
    depth::check(text, world)?;
    let parsed = Parser::default().parse(text);
    let mut tree = parsed.map_err(|_| ExpressionError::Malformed(text.to_owned(), world))?;
    shape::check(&mut tree, world)?;
    Ok(Expression { tree, world })
}

impl Expression {
    /// Whether the expression, which is over an answer, is true of one.
    ///
    /// # Errors
    /// See [`EvaluationError`].
    pub fn evaluate(&self, answer: Answer<'_>) -> Result<bool, EvaluationError> {
        self.resolve(size(answer.body.len(), answer.json), || context(answer))
    }

    /// Whether the expression is true of an object.
    ///
    /// # Errors
    /// See [`EvaluationError`].
    pub fn evaluate_object(&self, object: &Json) -> Result<bool, EvaluationError> {
        self.resolve(size(object.to_string().len(), Some(object)), || {
            let mut context = functions();
            context.add_variable_from_value("object", value(object));
            context
        })
    }

    fn resolve(&self, size: Size, context: impl FnOnce() -> Context<'static>) -> Result<bool, EvaluationError> {
        if cost::of(&self.tree, size, self.world) > cost::MAX {
            return Err(EvaluationError::TooCostly);
        }
        match Value::resolve(&self.tree, &context()) {
            Ok(Value::Bool(value)) => Ok(value),
            Ok(other) => Err(EvaluationError::NotBool(other.type_of().to_string())),
            Err(error) => Err(explain(&error)),
        }
    }
}

fn functions() -> Context<'static> {
    let mut context = Context::default();
    context.add_function("matches", matches);
    context
}

fn context(answer: Answer<'_>) -> Context<'static> {
    let mut context = functions();
    context.add_variable_from_value("status", i64::from(answer.status));
    context.add_variable_from_value("body", answer.body);
    context.add_variable_from_value("durationMs", answer.duration_ms);
    // Without JSON there is no variable: reading it is an error, and `status == 404 || json.ready` still has a value.
    if let Some(json) = answer.json {
        context.add_variable_from_value("json", value(json));
    }
    context
}

/// Whole numbers are `int`, so that they compare with those that people write.
fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(list) => list.iter().map(value).collect::<Vec<_>>().into(),
        Json::Object(map) => {
            map.iter().map(|(key, json)| (Key::from(key.as_str()), value(json))).collect::<HashMap<_, _>>().into()
        }
    }
}

/// CEL's `matches`, with a bound on what a pattern compiles to.
#[allow(clippy::needless_pass_by_value, reason = "the interpreter hands arguments over by value")]
fn matches(
    call: &FunctionContext,
    This(text): This<Arc<String>>,
    pattern: Arc<String>,
) -> Result<bool, ExecutionError> {
    match RegexBuilder::new(&pattern).size_limit(PATTERN_MAX).dfa_size_limit(PATTERN_MAX * 4).build() {
        Ok(compiled) => Ok(compiled.is_match(&text)),
        Err(_) => Err(call.error("the pattern is no regular expression, or too large a one")),
    }
}

fn size(bytes: usize, json: Option<&Json>) -> Size {
    let mut size = Size { bytes: bytes as u64, nodes: 1, longest: 1, longest_inside: 1 };
    let mut open: Vec<(&Json, bool)> = json.into_iter().map(|json| (json, false)).collect();
    while let Some((json, is_inside)) = open.pop() {
        let length = json.as_array().map(Vec::len).or(json.as_object().map(serde_json::Map::len)).unwrap_or(0) as u64;
        size.nodes += length;
        size.longest = size.longest.max(length);
        if is_inside {
            size.longest_inside = size.longest_inside.max(length);
        }
        open.extend(json.as_array().into_iter().flatten().map(|element| (element, true)));
        open.extend(json.as_object().into_iter().flat_map(|map| map.values()).map(|value| (value, is_inside)));
    }
    size
}

/// CEL's reason, without the values that it quotes at any length.
fn explain(error: &ExecutionError) -> EvaluationError {
    match error {
        ExecutionError::UndeclaredReference(name) if name.as_str() == "json" => EvaluationError::NotJson,
        ExecutionError::NoSuchKey(key) => EvaluationError::Failed(format!("there is no key {}", cut(key, 60))),
        ExecutionError::NoSuchOverload => EvaluationError::Failed("the types do not fit together".to_owned()),
        ExecutionError::IndexOutOfBounds(_) => EvaluationError::Failed("the list is shorter than the index".to_owned()),
        ExecutionError::UnexpectedType { got, want } => {
            EvaluationError::Failed(format!("{want} is needed where {got} was found"))
        }
        other => EvaluationError::Failed(cut(&other.to_string(), 120)),
    }
}
