//! Bandwidths: libvirt counts kilobytes a second and kibibytes, the VI API bits a second and bytes (spec
//! `storage-network.md` 11.4).

use esx_vi_api::data::HostNetworkTrafficShapingPolicy;
use esx_vi_api::{Object, Value};
use virt_api::{ErrorCode, Result};
use virt_xml::network::{Bandwidth, Rate};

use super::failure;

const BITS_PER_KILOBYTE: u64 = 8 * 1000;
const BYTES_PER_KIBIBYTE: u64 = 1024;

/// Numbers of the VI API as libvirt's; what is limited never becomes unlimited because it is below libvirt's units.
fn rate(average: i64, peak: Option<i64>, burst: Option<i64>) -> Option<Rate> {
    let scaled = |number: i64, unit: u64| match u64::try_from(number) {
        Ok(number) if number > 0 => (number / unit).max(1),
        _ => 0,
    };
    let rate = Rate {
        average: scaled(average, BITS_PER_KILOBYTE),
        peak: scaled(peak.unwrap_or(0), BITS_PER_KILOBYTE),
        burst: scaled(burst.unwrap_or(0), BYTES_PER_KIBIBYTE),
    };
    (rate.average > 0).then_some(rate)
}

/// The limits of a policy; `None` if it limits nothing. A standard switch limits what machines send; libvirt shows that
/// for both directions, and takes it back only so.
pub(super) fn of_policy(policy: Option<&HostNetworkTrafficShapingPolicy>) -> Option<Bandwidth> {
    let policy = policy.filter(|policy| policy.enabled == Some(true))?;
    let rate = rate(policy.average_bandwidth?, policy.peak_bandwidth, policy.burst_size)?;
    Some(Bandwidth { inbound: Some(rate), outbound: Some(rate) })
}

/// The limits of a distributed port group, by its `DVPortSetting`. A port's *in* shaping is of what a machine sends,
/// which libvirt calls outbound.
pub(super) fn of_port_setting(setting: &Object) -> Option<Bandwidth> {
    let of = |name: &str| {
        let value = |member: &str| setting.get_path(&format!("{name}.{member}.value"));
        let number = |member| value(member).and_then(Value::as_i64);
        let enabled = value("enabled").and_then(Value::as_bool) == Some(true);
        let average = number("averageBandwidth").filter(|_| enabled)?;
        rate(average, number("peakBandwidth"), number("burstSize"))
    };
    let bandwidth = Bandwidth { inbound: of("outShapingPolicy"), outbound: of("inShapingPolicy") };
    (bandwidth != Bandwidth::default()).then_some(bandwidth)
}

/// The policy of limits; `None` if they limit nothing. `whose` is for people.
///
/// # Errors
/// `VIR_ERR_CONFIG_UNSUPPORTED` for limits that a standard switch cannot have: it knows one for both directions.
pub(super) fn to_policy(
    bandwidth: &Bandwidth,
    whose: &str,
) -> Result<Option<HostNetworkTrafficShapingPolicy>> {
    let refuse = |reason: &str| {
        let message = format!("the bandwidth of {whose} cannot be had: {reason}");
        failure(ErrorCode::ConfigUnsupported, message)
    };
    let rate = match (bandwidth.inbound, bandwidth.outbound) {
        (Some(inbound), Some(outbound)) if inbound == outbound => inbound,
        _ => {
            return Err(refuse(
                "a virtual switch has one limit for both directions, so inbound and outbound must \
                 be there and equal",
            ));
        }
    };
    if rate == Rate::default() {
        return Ok(None);
    }
    let scaled = |number: u64, unit: u64| match number.checked_mul(unit) {
        Some(0) => Ok(None),
        Some(number) => i64::try_from(number).map(Some).map_err(|_| refuse("it is too large")),
        None => Err(refuse("it is too large")),
    };
    let (average, peak) = (rate.average, rate.peak);
    if average == 0 {
        return Err(refuse("its average is 0"));
    }
    if peak > 0 && peak < average {
        return Err(refuse("its peak is less than its average"));
    }
    Ok(Some(HostNetworkTrafficShapingPolicy {
        enabled: Some(true),
        average_bandwidth: scaled(average, BITS_PER_KILOBYTE)?,
        peak_bandwidth: scaled(peak, BITS_PER_KILOBYTE)?,
        burst_size: scaled(rate.burst, BYTES_PER_KIBIBYTE)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(
        average: Option<i64>,
        peak: Option<i64>,
        burst: Option<i64>,
    ) -> HostNetworkTrafficShapingPolicy {
        HostNetworkTrafficShapingPolicy {
            enabled: Some(true),
            average_bandwidth: average,
            peak_bandwidth: peak,
            burst_size: burst,
        }
    }

    #[test]
    fn policies_as_libvirt_counts() {
        for (average, peak, burst, expected) in [
            (Some(8_000_000), Some(40_000_000), Some(5_242_880), Some((1000, 5000, 5120))),
            (
                Some(100_000_000),
                Some(100_000_000),
                Some(104_857_600),
                Some((12_500, 12_500, 102_400)),
            ),
            (Some(8001), None, Some(2047), Some((1, 0, 1))),
            // Here libvirt writes an element without content, which says the contrary.
            (Some(7999), Some(8_000_000), None, Some((1, 1000, 0))),
            (Some(0), None, None, None),
            (Some(-1), None, None, None),
            (None, Some(8000), None, None),
        ] {
            let found = of_policy(Some(&policy(average, peak, burst)));
            let found = found.and_then(|b| b.inbound).map(|r| (r.average, r.peak, r.burst));
            assert_eq!(found, expected, "{average:?}");
        }
        assert_eq!(of_policy(None), None);
        let off = HostNetworkTrafficShapingPolicy {
            enabled: Some(false),
            ..policy(Some(8000), None, None)
        };
        assert_eq!(of_policy(Some(&off)), None);
    }

    #[test]
    fn limits_become_policies() {
        let both = |average, peak, burst| {
            let rate = Some(Rate { average, peak, burst });
            Bandwidth { inbound: rate, outbound: rate }
        };
        let made = to_policy(&both(1000, 5000, 5120), "it").unwrap();
        assert_eq!(made, Some(policy(Some(8_000_000), Some(40_000_000), Some(5_242_880))));
        assert_eq!(of_policy(made.as_ref()), Some(both(1000, 5000, 5120)));
        assert_eq!(to_policy(&both(1, 0, 0), "it").unwrap(), Some(policy(Some(8000), None, None)));
        assert_eq!(to_policy(&both(0, 0, 0), "it").unwrap(), None);
        let one = Bandwidth { outbound: None, ..both(1, 0, 0) };
        let unlike = Bandwidth { outbound: both(2, 0, 0).outbound, ..both(1, 0, 0) };
        for refused in [
            one,
            unlike,
            Bandwidth::default(),
            both(u64::MAX, 0, 0),
            both(u64::MAX / 8000, 0, 0),
            both(0, 1, 0),
            both(2, 1, 0),
        ] {
            let error = to_policy(&refused, "it").unwrap_err();
            assert_eq!(error.code, ErrorCode::ConfigUnsupported, "{refused:?}");
        }
    }
}
