//! What the validation layer finds is heard, to the device's very end.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;
#[path = "../../handover/tests/common/kernel.rs"]
mod kernel;

use handover_vulkan::ash::vk;

#[test]
fn a_mistake_is_heard_even_at_the_devices_end() {
    let _turn = common::alone();
    let Some(gpu) = common::gpu() else { return };
    let complaints = gpu.complaints();
    assert_eq!(complaints.all(), []);
    // SAFETY: the info has no pointers. That nobody destroys the fence is the mistake.
    unsafe { gpu.device().create_fence(&vk::FenceCreateInfo::default(), None) }.unwrap();
    assert_eq!(complaints.all(), [], "not yet a mistake");
    drop(gpu);
    let all = complaints.all();
    assert!(all.iter().any(|complaint| complaint.rule.starts_with("VUID-vkDestroyDevice-device-")), "{all:?}");
    assert!(all.iter().all(|complaint| complaint.to_string().contains("VkFence")), "{all:?}");
}
