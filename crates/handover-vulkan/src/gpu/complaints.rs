//! What the validation layer says of our calls, kept for whoever asked for it.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_void};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ash::{ext, vk};
use handover::{Result, Stage};

use crate::error::refused;

/// One complaint of the layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The rule, as the specification numbers it: `VUID-vkCmdDraw-None-02699`.
    pub rule: String,
    /// What the layer says of it.
    pub text: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.text)
    }
}

/// Warnings and errors of the validation layer, oldest first. Clones are the same list; it outlives the device, whose end may give
/// more of them.
#[derive(Debug, Clone, Default)]
pub struct Complaints(Arc<Mutex<Vec<Complaint>>>);

impl Complaints {
    /// Those so far. Without [`Options::validation`](crate::Options::validation) there are none.
    pub fn all(&self) -> Vec<Complaint> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How to tell them. The list must outlive whatever is made with it.
    pub(super) fn told(&self) -> vk::DebugUtilsMessengerCreateInfoEXT<'static> {
        use vk::{DebugUtilsMessageSeverityFlagsEXT as Severity, DebugUtilsMessageTypeFlagsEXT as Type};
        vk::DebugUtilsMessengerCreateInfoEXT::default()
            .message_severity(Severity::WARNING | Severity::ERROR)
            // Not GENERAL: there the loader speaks of drivers that are installed badly, which is none of our doing.
            .message_type(Type::VALIDATION | Type::PERFORMANCE)
            .pfn_user_callback(Some(hear))
            .user_data(Arc::as_ptr(&self.0).cast_mut().cast())
    }
}

/// A messenger of an instance.
pub(super) struct Messenger {
    calls: ext::debug_utils::Instance,
    raw: vk::DebugUtilsMessengerEXT,
}

impl Messenger {
    pub(super) fn new(entry: &ash::Entry, instance: &ash::Instance, complaints: &Complaints) -> Result<Self> {
        let calls = ext::debug_utils::Instance::new(entry, instance);
        // SAFETY: the instance was made with the extension, and the list outlives it.
        let raw = unsafe { calls.create_debug_utils_messenger(&complaints.told(), None) }
            .map_err(refused(Stage::Negotiate, "hear the validation layer"))?;
        Ok(Self { calls, raw })
    }
}

impl Drop for Messenger {
    fn drop(&mut self) {
        // SAFETY: the messenger is ours; whoever holds it drops it before the instance.
        unsafe { self.calls.destroy_debug_utils_messenger(self.raw, None) };
    }
}

/// # Safety
/// The layer's: `message` is valid during the call, `list` is what [`Complaints::told`] gave.
unsafe extern "system" fn hear(
    _: vk::DebugUtilsMessageSeverityFlagsEXT,
    _: vk::DebugUtilsMessageTypeFlagsEXT,
    message: *const vk::DebugUtilsMessengerCallbackDataEXT<'_>,
    list: *mut c_void,
) -> vk::Bool32 {
    // SAFETY: null or valid during the call.
    let message = unsafe { message.as_ref() };
    // SAFETY: the list is shared, and outlives the instance that calls this.
    let list = unsafe { list.cast::<Mutex<Vec<Complaint>>>().as_ref() };
    if let (Some(message), Some(list)) = (message, list) {
        // SAFETY: null or text that is valid during the call.
        let rule = unsafe { text(message.p_message_id_name) };
        // SAFETY: as above.
        let text = unsafe { text(message.p_message) };
        list.lock().unwrap_or_else(PoisonError::into_inner).push(Complaint { rule, text });
    }
    // The call is not to be aborted: it shall do what it would do without the layer.
    vk::FALSE
}

/// # Safety
/// `text` is null, or valid and ends with a 0.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null; the rest is the caller's.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
