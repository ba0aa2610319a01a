//! Sessions: who is logged in, since when, and what belongs to each of them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use esx_vi_api::Object;

use super::collector::Pager;
use super::filter::Collector;
use super::time::Timestamp;
use super::view::View;

/// One login.
pub(crate) struct Session {
    /// `UserSession.key`; not the cookie, which is a secret.
    pub(crate) key: String,
    pub(crate) user: String,
    pub(crate) login: Timestamp,
    pub(crate) last_active: Timestamp,
    pub(crate) calls: i64,
    /// Views, filters and page tokens are numbered in one row.
    pub(crate) counter: u64,
    pub(crate) views: BTreeMap<String, View>,
    pub(crate) collectors: BTreeMap<String, Collector>,
    pub(crate) pagers: BTreeMap<u64, Pager>,
}

impl Session {
    /// `UserSession`.
    pub(crate) fn user_session(&self) -> Object {
        Object::new("UserSession")
            .with("key", self.key.as_str())
            .with("userName", self.user.as_str())
            .with("fullName", "Simulated Administrator")
            .with("loginTime", self.login.date_time())
            .with("lastActiveTime", self.last_active.date_time())
            .with("locale", "en")
            .with("messageLocale", "en")
            .with("extensionSession", false)
            .with("callCount", self.calls)
    }

    /// A new reference value for an object of this session.
    pub(crate) fn next_value(&mut self) -> String {
        self.counter += 1;
        format!("session[{}]{:08x}", self.key, self.counter)
    }
}

/// Cookies that are kept for those who look for them where they must not be.
const REMEMBERED: usize = 1000;

/// All sessions, by cookie.
pub(crate) struct Sessions {
    by_cookie: HashMap<String, Session>,
    /// Every cookie so far, open or not; the first [`REMEMBERED`].
    cookies: Vec<String>,
    /// How long a session lives without a call.
    pub(crate) idle: Duration,
    seed: u64,
    made: u64,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("open", &self.by_cookie.len()).finish_non_exhaustive()
    }
}

impl Sessions {
    pub(crate) fn new(seed: u64) -> Self {
        // Thirty minutes, as hosts have it.
        Self {
            by_cookie: HashMap::new(),
            cookies: Vec::new(),
            idle: Duration::from_secs(1800),
            seed,
            made: 0,
        }
    }

    /// Opens a session and returns its cookie.
    pub(crate) fn open(&mut self, user: &str, now: Timestamp) -> String {
        let cookie = self.token(0);
        let key = format!("52{}", &self.token(1)[2..34]);
        let session = Session {
            key,
            user: user.to_owned(),
            login: now,
            last_active: now,
            calls: 0,
            counter: 0,
            views: BTreeMap::new(),
            collectors: BTreeMap::new(),
            pagers: BTreeMap::new(),
        };
        self.by_cookie.insert(cookie.clone(), session);
        if self.cookies.len() < REMEMBERED {
            self.cookies.push(cookie.clone());
        }
        cookie
    }

    /// The session behind a cookie, if it has not ended. This counts as an access.
    pub(crate) fn touch(&mut self, cookie: &str, now: Timestamp) -> Option<&mut Session> {
        self.expire(now);
        let session = self.by_cookie.get_mut(cookie)?;
        session.last_active = session.last_active.max(now);
        session.calls += 1;
        Some(session)
    }

    pub(crate) fn get(&self, cookie: &str) -> Option<&Session> {
        self.by_cookie.get(cookie)
    }

    pub(crate) fn get_mut(&mut self, cookie: &str) -> Option<&mut Session> {
        self.by_cookie.get_mut(cookie)
    }

    pub(crate) fn close(&mut self, cookie: &str) {
        self.by_cookie.remove(cookie);
    }

    /// Ends the session with this key. Returns whether there was one.
    pub(crate) fn terminate(&mut self, key: &str) -> bool {
        let before = self.by_cookie.len();
        self.by_cookie.retain(|_, session| session.key != key);
        self.by_cookie.len() < before
    }

    pub(crate) fn close_all(&mut self) {
        self.by_cookie.clear();
    }

    fn expire(&mut self, now: Timestamp) {
        let idle = self.idle;
        self.by_cookie.retain(|_, session| now <= session.last_active.after(idle));
    }

    /// A secret that stands for no session.
    pub(crate) fn ticket(&mut self) -> String {
        format!("52{}", &self.token(2)[2..34])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.by_cookie.values()
    }

    /// The cookies handed out so far.
    pub(crate) fn cookies(&self) -> &[String] {
        &self.cookies
    }

    pub(crate) fn len(&self) -> usize {
        self.by_cookie.len()
    }

    /// Forty hexadecimal digits that depend on the seed and on how many were made before.
    fn token(&mut self, salt: u64) -> String {
        self.made += 1;
        let mut state = self.seed ^ self.made.rotate_left(32) ^ (salt << 63);
        let mut text = String::with_capacity(48);
        for _ in 0..3 {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            text.push_str(&format!("{:016x}", mixed ^ (mixed >> 31)));
        }
        text.truncate(40);
        text
    }
}
