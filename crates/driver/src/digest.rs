//! UUIDs that libvirt makes of what identifies a thing on a host.

use md5::{Digest, Md5};
use uuid::Uuid;

/// The MD5 digest of `bytes`, taken for a UUID as it is: no version, no variant (spec `storage-network.md` 2.2, 3.2, 9.2
/// and 11.1). It identifies and protects nothing.
pub(crate) fn uuid_of(bytes: &[u8]) -> Uuid {
    Uuid::from_bytes(Md5::digest(bytes).into())
}
