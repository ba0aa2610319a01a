//! Any bytes are a descriptor or none; one that is has a size, and only a line for each of its extents.
#![no_main]

use esx_vmx::vmdk::Descriptor;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(disk) = Descriptor::parse(bytes) else { return };
    assert!(Descriptor::is_descriptor(bytes));
    assert!(i64::try_from(disk.capacity_bytes()).is_ok());
    assert!(disk.extents.len() <= bytes.iter().filter(|byte| **byte == b'\n').count() + 1);
});
