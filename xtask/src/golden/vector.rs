//! Reading a vector: members by name and type, and the two ways in which one can fail.

use serde_json::Value;

/// Why a vector is not agreed to.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is no vector: a member is missing or of another type.
    Unreadable(String),
    /// We say something else.
    Differs(String),
}

/// The name of a vector: its id, or its line.
pub(super) fn name(vector: &Value, line: usize) -> String {
    vector.get("id").and_then(Value::as_str).map_or_else(|| format!("line {line}"), String::from)
}

/// A number, decimal or as a string in hex.
pub(super) fn number(vector: &Value, member: &str) -> Result<u64, Fault> {
    let value = vector.get(member);
    let hex = || u64::from_str_radix(value?.as_str()?.strip_prefix("0x")?, 16).ok();
    value.and_then(Value::as_u64).or_else(hex).ok_or_else(|| Fault::Unreadable(format!("no number `{member}`")))
}

/// The same, of 32 bits.
pub(super) fn count(vector: &Value, member: &str) -> Result<u32, Fault> {
    let number = number(vector, member)?;
    u32::try_from(number).map_err(|_| Fault::Unreadable(format!("`{member}` {number} does not fit 32 bits")))
}

/// A text.
pub(super) fn text<'a>(vector: &'a Value, member: &str) -> Result<&'a str, Fault> {
    let text = vector.get(member).and_then(Value::as_str);
    text.ok_or_else(|| Fault::Unreadable(format!("no text `{member}`")))
}

/// A list.
pub(super) fn list<'a>(vector: &'a Value, member: &str) -> Result<&'a [Value], Fault> {
    let list = vector.get(member).and_then(Value::as_array);
    list.map(Vec::as_slice).ok_or_else(|| Fault::Unreadable(format!("no list `{member}`")))
}

/// The two are the same, or the vector differs.
pub(super) fn same<T: PartialEq + std::fmt::Display>(what: &str, expected: T, found: T) -> Result<(), Fault> {
    if expected == found {
        return Ok(());
    }
    Err(Fault::Differs(format!("{what}: expected {expected}, found {found}")))
}
