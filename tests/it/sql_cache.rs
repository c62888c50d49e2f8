//! The committed `.sqlx` against the schema: what compiled must also be what the migrated database says.

use std::path::Path;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Column, Connection, Either, Executor, PgConnection, SqlSafeStr, Statement, TypeInfo};

use crate::support::{block_on, servers};

fn cached_statements() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).collect()
}

#[test]
fn every_cached_statement_fits_the_migrated_database() {
    let statements = cached_statements();
    assert!(statements.len() > 10, "the cache is committed");
    block_on(async {
        let url = servers().await.seeded_database().await;
        let mut database = PgConnection::connect(&url).await.unwrap();
        for cached in statements {
            let query = cached["query"].as_str().unwrap().to_owned();
            let prepared = database.prepare(AssertSqlSafe(query.clone()).into_sql_str()).await.unwrap();

            let columns: Vec<_> = prepared.columns().iter().map(|column| column.name().to_owned()).collect();
            let cached_columns = cached["describe"]["columns"].as_array().unwrap();
            let cached_names: Vec<_> = cached_columns.iter().map(|column| column["name"].as_str().unwrap()).collect();
            assert_eq!(columns, cached_names, "{query}");

            let Some(Either::Left(parameters)) = prepared.parameters() else { panic!("{query}") };
            let parameters: Vec<_> = parameters.iter().map(|kind| kind.name().to_owned()).collect();
            let cached_parameters = cached["describe"]["parameters"]["Left"].as_array().unwrap();
            assert_eq!(parameters.len(), cached_parameters.len(), "{query}");
        }
    });
}
