//! Password hashes: Argon2id on a bounded pool.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc},
};
use tokio::sync::Semaphore;

use super::UsersError;
use crate::{config, ids::Ids, secret::Secret, store::schema::users::PasswordHash};

/// The longest password that is looked at, in bytes: hashing longer ones would only give strangers work to hand out.
const PASSWORD_BYTES_MAX: usize = 512;

/// Passwords that may wait for their turn. At two at a time and 25 ms each, the last one waits about 25 seconds.
const WAITING_MAX: usize = 2048;

/// How long after a hash the allocator is reminded of the memory it may give back; more than its own delay.
const GIVE_BACK_AFTER: Duration = Duration::from_millis(1500);

/// Hashes and verifies passwords, a few at a time, never on the async workers. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    inner: Arc<Inner>,
}

struct Inner {
    argon: Argon2<'static>,
    length_min: u32,
    ids: Ids,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    giving_back: AtomicBool,
}

impl Passwords {
    /// A pool with the costs of the configuration.
    ///
    /// # Errors
    /// The costs are outside Argon2's bounds.
    pub fn new(config: &config::Passwords, ids: Ids) -> Result<Self, UsersError> {
        let memory_kib = u32::try_from(config.memory.bytes() / 1024).unwrap_or(u32::MAX);
        let params = Params::new(memory_kib, config.iterations, 1, None)
            .map_err(|_| UsersError::Internal("the costs of password hashes are out of bounds"))?;
        let parallel = usize::try_from(config.parallel_hashes).unwrap_or(1).max(1);
        Ok(Self {
            inner: Arc::new(Inner {
                argon: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
                length_min: config.length_min,
                ids,
                turns: Arc::new(Semaphore::new(parallel)),
                waiting: AtomicUsize::new(0),
                giving_back: AtomicBool::new(false),
            }),
        })
    }

    /// Whether a new password will do.
    ///
    /// # Errors
    /// [`UsersError::WeakPassword`], or [`UsersError::Invalid`] for one that is too long.
    pub fn check(&self, password: &Secret) -> Result<(), UsersError> {
        let password = password.expose();
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(UsersError::Invalid("A password may have at most 512 bytes"));
        }
        let length_min = self.inner.length_min;
        if password.chars().count() < usize::try_from(length_min).unwrap_or(usize::MAX) {
            return Err(UsersError::WeakPassword { length_min });
        }
        Ok(())
    }

    /// The hash of a new password, with a salt of its own.
    ///
    /// # Errors
    /// [`UsersError::Busy`].
    pub async fn hash(&self, password: Secret) -> Result<PasswordHash, UsersError> {
        let salt = self.inner.ids.bytes::<16>();
        self.run(move |argon| hash(argon, &password, &salt)).await?
    }

    /// Whether a password belongs to a hash. Without a hash (no such account, or one without a password) the answer
    /// is no, after the same work: how long it takes does not tell who exists.
    ///
    /// # Errors
    /// [`UsersError::Busy`].
    pub async fn verify(&self, password: Secret, hash_of_account: Option<PasswordHash>) -> Result<bool, UsersError> {
        if password.expose().len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        self.run(move |argon| {
            let Some(stored) = hash_of_account else {
                // Only the work counts.
                drop(hash(argon, &password, &[0; 16]));
                return false;
            };
            phc::PasswordHash::new(&stored.0)
                .is_ok_and(|parsed| argon.verify_password(password.expose().as_bytes(), &parsed).is_ok())
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>) -> T + Send + 'static,
    ) -> Result<T, UsersError> {
        let _waiting = Waiting::enter(&self.inner)?;
        let turn = self.inner.turns.clone().acquire_owned().await;
        let turn = turn.map_err(|_| UsersError::Internal("the password pool is closed"))?;
        let inner = self.inner.clone();
        let done = tokio::task::spawn_blocking(move || {
            // Held here and not by the caller: a caller who goes away does not end the work.
            let _turn = turn;
            work(&inner.argon)
        });
        let done = done.await.map_err(|_| UsersError::Internal("hashing a password panicked"));
        self.give_back_memory_later();
        done
    }

    /// Each hash needs some 20 MiB for a moment. The allocator returns freed memory to the system a second later, but
    /// only when somebody allocates then: on a server that has become quiet nobody would.
    fn give_back_memory_later(&self) {
        if self.inner.giving_back.swap(true, Ordering::Relaxed) {
            return;
        }
        let inner = self.inner.clone();
        tokio::spawn(async move {
            tokio::time::sleep(GIVE_BACK_AFTER).await;
            inner.giving_back.store(false, Ordering::Relaxed);
            let bytes = usize::try_from(inner.argon.params().m_cost()).unwrap_or(0) * 1024;
            let nudge = tokio::task::spawn_blocking(move || drop(black_box(Vec::<u8>::with_capacity(bytes))));
            drop(nudge.await);
        });
    }
}

fn hash(argon: &Argon2<'static>, password: &Secret, salt: &[u8]) -> Result<PasswordHash, UsersError> {
    let hashed: Result<phc::PasswordHash, _> = argon.hash_password_with_salt(password.expose().as_bytes(), salt);
    hashed.map(|hash| PasswordHash(hash.to_string())).map_err(|_| UsersError::Internal("hashing a password failed"))
}

/// Counts one caller, also when it goes away.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(inner: &'a Inner) -> Result<Self, UsersError> {
        let before = inner.waiting.fetch_add(1, Ordering::Relaxed);
        let entered = Self(&inner.waiting);
        if before >= WAITING_MAX { Err(UsersError::Busy) } else { Ok(entered) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use crate::users::test::cheap_passwords;

    fn passwords() -> Passwords {
        Passwords::new(&cheap_passwords(), Ids::system()).unwrap()
    }

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let passwords = passwords();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m="), "{}", hash.0);
        assert!(passwords.verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("correct horsf".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("".into(), Some(hash.clone())).await.unwrap());
        assert_ne!(passwords.hash("correct horse".into()).await.unwrap(), hash, "salts differ");
    }

    #[tokio::test]
    async fn an_account_without_a_password_fits_none() {
        let passwords = passwords();
        assert!(!passwords.verify("".into(), None).await.unwrap());
        assert!(!passwords.verify("x".into(), Some(PasswordHash(String::new()))).await.unwrap());
        assert!(!passwords.verify("a".repeat(10_000).into(), None).await.unwrap());
    }

    #[test]
    fn length_is_counted_in_characters() {
        let passwords = passwords();
        assert!(matches!(passwords.check(&"äöüäöüä".into()), Err(UsersError::WeakPassword { length_min: 8 })));
        passwords.check(&"äöüäöüäö".into()).unwrap();
        assert!(matches!(passwords.check(&"a".repeat(513).into()), Err(UsersError::Invalid(_))));
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let passwords = passwords();
        passwords.inner.waiting.store(WAITING_MAX, Ordering::Relaxed);
        assert!(matches!(passwords.verify("x".into(), None).await, Err(UsersError::Busy)));
        passwords.inner.waiting.store(WAITING_MAX - 1, Ordering::Relaxed);
        assert!(passwords.verify("x".into(), None).await.is_ok());
        assert_eq!(passwords.inner.waiting.load(Ordering::Relaxed), WAITING_MAX - 1);
    }
}
