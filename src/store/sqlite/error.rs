//! What SQLite says, as an error of the store: no statement and no value in it.

use crate::store::StoreError;
use rusqlite::{Error, ErrorCode, ffi};

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let Some(sqlite) = error.sqlite_error() else {
            return match error {
                Error::SqlInputError { error, .. } => of(error),
                Error::InvalidColumnType(..) | Error::FromSqlConversionFailure(..) => {
                    Self::Failed("a value is not of its column's type".to_owned())
                }
                _ => Self::Failed("a statement could not be run".to_owned()),
            };
        };
        of(*sqlite)
    }
}

fn of(error: ffi::Error) -> StoreError {
    match error.code {
        ErrorCode::DiskFull => StoreError::Full,
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Busy,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Failed(
            "its file is damaged: stop every process that uses it, keep a copy, and bring back a backup"
                .to_owned(),
        ),
        _ => {
            let what = ffi::code_to_str(error.extended_code);
            StoreError::Failed(format!("{what} (SQLite {})", error.extended_code))
        }
    }
}
