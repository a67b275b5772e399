// SPDX-License-Identifier: BSD-2-Clause
pub const BENCHES: &[(&str, common::wake::Bench)] = &[];
