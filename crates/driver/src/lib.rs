//! libvirt's ESX driver, anew: esx://, vpx:// and gsx:// behind the traits of virt-api.

#![forbid(unsafe_code)]
