//! The state changes of a frame.

use std::sync::Arc;

use tidegate_core::commit::{Change, StateChange, Value};

use crate::bytes::{Reader, put_bytes, put_signed, put_varint};
use crate::error::CodecError;

const DELETED: u8 = 0;
const LASTING: u8 = 1;
const EXPIRING: u8 = 2;

pub(crate) fn put_states(out: &mut Vec<u8>, states: &[StateChange]) {
    for state in states {
        put_bytes(out, state.handler.as_bytes());
        put_varint(out, state.version);
        put_varint(out, state.changes.len() as u64);
        for change in &state.changes {
            put_bytes(out, &change.key);
            put_value(out, change.value.as_ref());
        }
    }
}

/// Appends what a key becomes.
pub(crate) fn put_value(out: &mut Vec<u8>, value: Option<&Value>) {
    match value {
        None => out.push(DELETED),
        Some(value) => {
            out.push(if value.expires_us.is_some() { EXPIRING } else { LASTING });
            put_varint(out, value.version);
            if let Some(expires_us) = value.expires_us {
                put_signed(out, expires_us);
            }
            put_bytes(out, &value.bytes);
        }
    }
}

pub(crate) fn read_states(body: &[u8]) -> Result<Vec<StateChange>, CodecError> {
    let mut reader = Reader::new(body);
    let mut states = Vec::new();
    while !reader.is_empty() {
        let handler = Arc::from(reader.text()?);
        let version = reader.varint()?;
        // Not allocated ahead: a count may say anything.
        let mut changes = Vec::new();
        for _ in 0..reader.varint()? {
            let key = Arc::from(reader.bytes()?);
            changes.push(Change { key, value: read_value(&mut reader)? });
        }
        states.push(StateChange { handler, version, changes });
    }
    Ok(states)
}

pub(crate) fn read_value(reader: &mut Reader<'_>) -> Result<Option<Value>, CodecError> {
    let kind = reader.byte()?;
    if kind == DELETED {
        return Ok(None);
    }
    if kind > EXPIRING {
        return Err(CodecError::Tag { tag: kind });
    }
    let version = reader.varint()?;
    let expires_us = if kind == EXPIRING { Some(reader.signed()?) } else { None };
    Ok(Some(Value { bytes: Arc::from(reader.bytes()?), version, expires_us }))
}
