//! Fault plans: what goes wrong with which request, in a line of text (`esx-sim --fault`, `docs/faults.md`).

use std::str::FromStr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::server::{Arrival, BodyChange, Reaction};

/// The grammar, for `--help`.
pub const FAULT_GRAMMAR: &str = "\
PLAN is one or more rules, separated by ';'. The first rule that fits a request decides.
RULE is FAULT [@REQUEST] [#WHICH]
REQUEST is a SOAP method (PowerOnVM_Task), an HTTP method (GET, PUT, POST) or * (the default)
WHICH   is N (the N-th such request only), N+ (from the N-th on), N% (that many of 100, by chance); 1 is the default
FAULT   is one of
  cut-unprocessed      the connection breaks before the request is processed
  cut-request=BYTES    the connection breaks after so many bytes of an upload
  cut-processed        it is processed, and the connection breaks in place of an answer
  cut-head=BYTES       the connection breaks after so many bytes of the answer's head
  cut-body=BYTES       the connection breaks after so many bytes of the answer's body
  truncate             the answer's XML ends in the middle; HTTP itself is complete
  corrupt              the answer's XML has something in it that is none
  corrupt-at=TEXT      the same, in front of this text, in each answer that holds it
  type=TYPE            the answer's Content-Type
  gzip                 the answer is compressed, as hosts do
  status=CODE[,AFTER]  this HTTP status, and the seconds of Retry-After
  redirect=URL         status 302 to there
  slow-head=MS         the answer begins so late
  slow-body=MS         the answer's body comes in small pieces with pauses
  stall-head           no answer comes, the connection stays open
  stall-body=BYTES     nothing comes after so many bytes of the answer's body
  endless              the answer never ends
  expire               all sessions end before it is processed
  restart              all sessions end, and the connection breaks before it is processed
  stuck-task           tasks stop making progress from then on
  duplicate            an update that was told already is told once more (WaitForUpdatesEx)
  endless-updates      the same, and each answer says that the rest follows in the next
Examples: 'cut-processed @PowerOnVM_Task'   'status=503,1 @GET #1+; expire @* #20'   'cut-unprocessed #5%'";

/// A text is no fault plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rule {rule:?} is not understood: {problem}")]
pub struct FaultPlanError {
    rule: String,
    problem: &'static str,
}

/// Which of the requests that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Only(u64),
    From(u64),
    Percent(u64),
}

#[derive(Debug)]
struct Rule {
    reaction: Reaction,
    request: String,
    which: Which,
    seen: AtomicU64,
}

impl Rule {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let mut words = text.split_whitespace();
        let fault = words.next().ok_or("it names no fault")?;
        let mut rule = Self {
            reaction: reaction(fault)?,
            request: "*".to_owned(),
            which: Which::Only(1),
            seen: AtomicU64::new(0),
        };
        for word in words {
            if let Some(request) = word.strip_prefix('@').filter(|request| !request.is_empty()) {
                rule.request = request.to_owned();
            } else if let Some(which) = word.strip_prefix('#') {
                rule.which = match (which.strip_suffix('+'), which.strip_suffix('%')) {
                    (Some(from), _) => Which::From(number(from)?),
                    (_, Some(percent)) => Which::Percent(number(percent)?),
                    _ => Which::Only(number(which)?),
                };
            } else {
                return Err("after the fault come only @REQUEST and #WHICH");
            }
        }
        Ok(rule)
    }

    /// Whether it is about a request of this kind.
    fn fits(&self, arrival: &Arrival) -> bool {
        self.request == "*"
            || arrival.method.as_deref() == Some(self.request.as_str())
            || arrival.line.split(' ').next() == Some(self.request.as_str())
    }
}

fn reaction(fault: &str) -> Result<Reaction, &'static str> {
    let (name, value) = match fault.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (fault, None),
    };
    let bytes = || number(value.ok_or("this fault takes a number of bytes: NAME=BYTES")?);
    let pause = || {
        let millis = number(value.ok_or("this fault takes milliseconds: NAME=MS")?)?;
        Ok::<_, &'static str>(Duration::from_millis(millis))
    };
    let text = || value.filter(|v| !v.is_empty()).ok_or("this fault takes a value: NAME=VALUE");
    let takes_value = matches!(
        name,
        "cut-request"
            | "cut-head"
            | "cut-body"
            | "corrupt-at"
            | "type"
            | "status"
            | "redirect"
            | "slow-head"
            | "slow-body"
            | "stall-body"
    );
    if value.is_some() && !takes_value {
        return Err("this fault takes no value, or there is no such fault");
    }
    Ok(match name {
        "cut-unprocessed" => Reaction::Hangup { served: false },
        "cut-request" => Reaction::CutRequest { after: bytes()? },
        "cut-processed" => Reaction::Hangup { served: true },
        "cut-head" => Reaction::CutHead { after: bytes()? },
        "cut-body" => Reaction::CutAnswer { after: bytes()? },
        "truncate" => Reaction::Change(BodyChange::Truncate),
        "corrupt" => Reaction::Change(BodyChange::Corrupt),
        "corrupt-at" => Reaction::Change(BodyChange::CorruptAt(text()?.to_owned())),
        "type" => Reaction::Change(BodyChange::ContentType(text()?.to_owned())),
        "gzip" => Reaction::Change(BodyChange::Gzip),
        "status" => {
            let (status, after) = match text()?.split_once(',') {
                Some((status, after)) => (status, Some(after)),
                None => (text()?, None),
            };
            let status = u16::try_from(number(status)?).map_err(|_| "it is no HTTP status")?;
            if !(400..600).contains(&status) {
                return Err("an HTTP status that refuses is from 400 to 599");
            }
            let retry_after = after.map(number).transpose()?.map(u32::try_from).transpose();
            Reaction::Refuse { status, retry_after: retry_after.map_err(|_| "it is too long")? }
        }
        "redirect" => Reaction::Redirect { location: text()?.to_owned() },
        "slow-head" => Reaction::DelayAnswer { by: pause()? },
        "slow-body" => Reaction::DripAnswer { pause: pause()? },
        "stall-head" => Reaction::DelayAnswer { by: Duration::MAX },
        "stall-body" => Reaction::StallAnswer { after: bytes()? },
        "endless" => Reaction::EndlessAnswer,
        "expire" => Reaction::ExpireSessions,
        "restart" => Reaction::Restart,
        "stuck-task" => Reaction::HoldTasks,
        "duplicate" => Reaction::RepeatUpdates,
        "endless-updates" => Reaction::EndlessUpdates,
        _ => return Err("there is no such fault"),
    })
}

fn number(text: &str) -> Result<u64, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().ok_or("a number is missing or too large")
}

/// What goes wrong with which request. Give its [`react`](Self::react) to [`Builder::plan`](crate::Builder::plan) or
/// [`Running::set_plan`](crate::Running::set_plan).
///
/// ```
/// let plan: esx_sim::FaultPlan = "cut-processed @PowerOnVM_Task; status=503,1 @GET #1+".parse()?;
/// # Ok::<(), esx_sim::FaultPlanError>(())
/// ```
#[derive(Debug)]
pub struct FaultPlan {
    rules: Vec<Rule>,
    chance: Mutex<u64>,
}

impl FaultPlan {
    /// Chooses the row of random numbers, for `#N%`.
    pub fn set_seed(&self, seed: u64) {
        *self.chance.lock().unwrap_or_else(PoisonError::into_inner) = seed;
    }

    /// What happens to this request. Every request must be shown, in the order of arrival.
    pub fn react(&self, arrival: &Arrival) -> Reaction {
        for rule in self.rules.iter().filter(|rule| rule.fits(arrival)) {
            let number = rule.seen.fetch_add(1, Ordering::SeqCst) + 1;
            let applies = match rule.which {
                Which::Only(which) => number == which,
                Which::From(from) => number >= from,
                Which::Percent(percent) => self.draw() % 100 < percent,
            };
            if applies {
                return rule.reaction.clone();
            }
        }
        Reaction::Serve
    }

    /// SplitMix64: good enough to choose, and the same everywhere.
    fn draw(&self) -> u64 {
        let mut state = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl FromStr for FaultPlan {
    type Err = FaultPlanError;

    fn from_str(text: &str) -> Result<Self, FaultPlanError> {
        let rules = text
            .split(';')
            .map(|rule| {
                let rule = rule.trim();
                Rule::parse(rule)
                    .map_err(|problem| FaultPlanError { rule: rule.to_owned(), problem })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { rules, chance: Mutex::new(0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(line: &str, method: Option<&str>) -> Arrival {
        Arrival {
            number: 0,
            line: line.to_owned(),
            query: None,
            range: None,
            method: method.map(str::to_owned),
        }
    }

    #[test]
    fn rules_choose_requests() {
        let plan: FaultPlan =
            "cut-processed @Login #2; status=503,1 @GET #2+ ; gzip @* #7".parse().unwrap();
        let post = arrival("POST /sdk", Some("Login"));
        let get = arrival("GET /folder/x", None);
        let refuse = Reaction::Refuse { status: 503, retry_after: Some(1) };
        let row = [&post, &post, &post, &get, &get, &get];
        let found: Vec<_> = row.iter().map(|arrival| plan.react(arrival)).collect();
        let serve = Reaction::Serve;
        let cut = Reaction::Hangup { served: true };
        assert_eq!(found, [serve.clone(), cut, serve.clone(), serve, refuse.clone(), refuse]);
    }

    #[test]
    fn chance_repeats() {
        let draw = |seed| {
            let plan = "expire #30%".parse::<FaultPlan>().unwrap();
            plan.set_seed(seed);
            let hits = |_| plan.react(&arrival("POST /sdk", None)) == Reaction::ExpireSessions;
            (0..1000).map(hits).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let hits = draw(7).iter().filter(|hit| **hit).count();
        assert!((200..400).contains(&hits), "{hits}");
    }

    #[test]
    fn every_fault_of_the_help_is_known_and_mistakes_are_named() {
        for line in FAULT_GRAMMAR.lines().filter(|line| line.starts_with("  ")) {
            let fault = line.split_whitespace().next().unwrap();
            let fault =
                fault.replace("BYTES", "5").replace("MS", "5").replace("CODE[,AFTER]", "503,2");
            fault.parse::<FaultPlan>().unwrap_or_else(|error| panic!("{fault}: {error}"));
        }
        for bad in [
            "",
            ";",
            "explode",
            "cut-body",
            "cut-body=x",
            "gzip=1",
            "status=200",
            "status=503,x",
            "expire @",
            "expire #",
            "expire #x",
            "expire now",
            "slow-head=-1",
            "status=99999999999999999999",
        ] {
            assert!(bad.parse::<FaultPlan>().is_err(), "{bad}");
        }
    }
}
