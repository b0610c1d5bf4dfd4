//! Ids and their numbers.

use ruma::{RoomId, ServerName, UserId};

use super::rows::Check;
use crate::store::{
    RoomNo, StoreError, UserNo,
    codec::Table,
    schema::{
        COUNTERS, ROOM_NAMES, ROOM_NUMBERS, SERVER_NAMES, SERVER_NUMBERS, STATE_KEY_NAMES, STATE_KEY_NUMBERS,
        USER_NAMES, USER_NUMBERS,
    },
};

impl Check<'_> {
    /// Every id has one number and every number one id; none is above what is reserved.
    pub(super) fn names(&mut self) -> Result<(), StoreError> {
        let end = self.get(&COUNTERS, &())?.map_or(0, |reserved| reserved.name);
        self.kind(&USER_NUMBERS, &USER_NAMES, end, |name| UserId::parse(name).is_ok())?;
        self.kind(&ROOM_NUMBERS, &ROOM_NAMES, end, |name| RoomId::parse(name).is_ok())?;
        self.kind(&STATE_KEY_NUMBERS, &STATE_KEY_NAMES, end, |name| name.contains('\0'))?;
        self.kind(&SERVER_NUMBERS, &SERVER_NAMES, end, |name| ServerName::parse(name).is_ok())
    }

    fn kind(
        &mut self,
        numbers: &Table<String, u64>,
        names: &Table<u64, String>,
        end: u64,
        valid: impl Fn(&str) -> bool,
    ) -> Result<(), StoreError> {
        self.agree(numbers, names, |name, number| Some((*number, name.clone())))?;
        self.agree(names, numbers, |number, name| Some((name.clone(), *number)))?;
        self.walk(names, |check, number, name| {
            if number >= end {
                check.report.find(names.name, || format!("{number} could be given out again"));
            }
            if !valid(&name) {
                check.report.find(names.name, || format!("{number} stands for something that is no such id"));
            }
            Ok(())
        })
    }

    /// Notes a row that belongs to a room nobody knows.
    pub(super) fn room_is_named(&mut self, table: &'static str, room: RoomNo) -> Result<(), StoreError> {
        if !self.has(&ROOM_NAMES, &room.0)? {
            self.report.find(table, || format!("room {} has no id", room.0));
        }
        Ok(())
    }

    /// Notes a row that belongs to a user nobody knows.
    pub(super) fn user_is_named(&mut self, table: &'static str, user: UserNo) -> Result<(), StoreError> {
        if !self.has(&USER_NAMES, &user.0)? {
            self.report.find(table, || format!("user {} has no id", user.0));
        }
        Ok(())
    }
}
