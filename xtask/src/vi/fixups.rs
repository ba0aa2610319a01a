//! Mistakes of the newest snapshot, mended: each function says why, and fails once it no longer applies.

use anyhow::{Result, ensure};

use super::schema::Schema;

/// All of them.
pub(crate) fn apply(schema: &mut Schema) -> Result<()> {
    nested_types_are_not_older_than_their_owner(schema)
}

/// Three types that were declared inside another are marked as of 2.0, the default of the metadata.
/// None is in the snapshots before 8.0, so an old host would be sent what it does not know. The owner of
/// the first is internal and in no snapshot: it counts as of the 8.0 that has it first here.
fn nested_types_are_not_older_than_their_owner(schema: &mut Schema) -> Result<()> {
    for (nested, owner) in [
        ("ComputeResourceHostSeedSpecSingleHostSpec", "VirtualMachineVirtualDeviceGroups"),
        ("VirtualMachineVirtualDeviceGroupsDeviceGroup", "VirtualMachineVirtualDeviceGroups"),
        ("VirtualMachineVirtualDeviceGroupsVendorDeviceGroup", "VirtualMachineVirtualDeviceGroups"),
    ] {
        let since = schema.types.get(owner).map(|t| t.since.clone()).unwrap_or_default();
        let found = schema.types.get_mut(nested);
        ensure!(
            !since.is_empty() && found.as_ref().is_some_and(|t| t.since == "2.0"),
            "the fix-up of {nested} no longer applies"
        );
        if let Some(found) = found {
            for member in found.members.iter_mut().filter(|m| m.since == "2.0") {
                member.since.clone_from(&since);
            }
            found.since = since;
        }
    }
    Ok(())
}
