//! The stored records' cases.

use proptest::strategy::{Strategy as _, Union};

use super::{Case, check};
use crate::testing::any_value;
use crate::tests::with_all_records;

/// The type of a printed record.
fn name(case: &Case) -> &str {
    case.text.split(' ').next().expect("a first word")
}

macro_rules! golden {
    ($($record:ident)*) => {{
        let again = |case: &Case| match name(case) {
            $(stringify!($record) => {
                let record = crate::record::$record::decode(&case.bytes).expect("legal");
                Case::printed(&record, record.encode())
            })*
            other => panic!("{other} is no record"),
        };
        let any = Union::new([$(
            any_value::<crate::record::$record>().prop_map(|record| Case::printed(&record, record.encode())).boxed()
        ),*]);
        let all = [$(stringify!($record).to_owned()),*];
        check("records", all, |case| [name(case).to_owned()].into(), again, any);
    }};
}

#[test]
fn golden_records() {
    with_all_records!(golden);
}
