/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values of options: fio's units, bounds, and the line about a bad one.
 */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <filch/filch.h>

#include <stdlib.h>

#include "../../benchmarks/arguments.h"

/* A number, or what the exit code is for none. */
static uint64_t
number(const char *text)
{
	uint64_t value = UINT64_MAX;
	int error = argument_number("p", "o", text, 5, 1 << 20, &value);

	cr_assert(error == 0 ? value != UINT64_MAX : value == UINT64_MAX);
	return (error == 0 ? value : (uint64_t)error);
}

Test(number, has_the_units_of_fio)
{
	cr_assert_eq(number("5"), 5);
	cr_assert_eq(number("4k"), 4096);
	cr_assert_eq(number("4K"), 4096);
	cr_assert_eq(number("1m"), 1 << 20);
}

Test(number, outside_of_the_bounds_is_refused)
{
	cr_redirect_stderr();
	cr_assert_eq(number("4"), 2);
	cr_assert_eq(number("1025k"), 2);
	cr_assert_eq(number("18446744073709551615g"), 2);
	cr_assert_eq(number("99999999999999999999"), 2);
}

Test(number, what_is_none_is_refused)
{
	static const char *const texts[] = { "", "k", "-5", " 5", "5kk", "5 k",
		"0x10", "5t" };

	cr_redirect_stderr();
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		cr_assert_eq(number(texts[i]), 2, "'%s'", texts[i]);
	}
}

Test(number, refusal_names_option_value_and_rule)
{
	cr_redirect_stderr();
	cr_assert_eq(number("7x"), 2);
	cr_assert_stderr_eq_str("p: --o: '7x' must be a number from 5 to "
				"1048576, with k, m or g (1024-based) if "
				"wanted\n");
}

static uint64_t
time_ns(const char *text)
{
	uint64_t ns = 0;

	return (argument_time("p", "o", text, &ns) == 0 ? ns : 2);
}

Test(time, has_the_units_of_fio_and_is_seconds_without)
{
	cr_assert_eq(time_ns("3"), UINT64_C(3000000000));
	cr_assert_eq(time_ns("3s"), UINT64_C(3000000000));
	cr_assert_eq(time_ns("7us"), 7000);
	cr_assert_eq(time_ns("7ms"), 7000000);
	cr_assert_eq(time_ns("2m"), UINT64_C(120000000000));
	cr_assert_eq(time_ns("1h"), UINT64_C(3600000000000));
	cr_assert_eq(time_ns("365d"), UINT64_C(31536000000000000));
}

Test(time, none_zero_and_over_a_year_are_refused)
{
	static const char *const texts[] = { "", "s", "0", "0s", "-1", "1.5",
		"1x", "1 s", "366d", "99999999999999999999" };

	cr_redirect_stderr();
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		cr_assert_eq(time_ns(texts[i]), 2, "'%s'", texts[i]);
	}
}

Test(flag, is_0_or_1)
{
	bool value = false;

	cr_redirect_stderr();
	cr_assert_eq(argument_flag("p", "o", "1", &value), 0);
	cr_assert(value);
	cr_assert_eq(argument_flag("p", "o", "yes", &value), 2);
	cr_assert(value, "it was touched");
	cr_assert_eq(argument_flag("p", "o", "0", &value), 0);
	cr_assert_not(value);
}

Test(choice, is_a_place_among_the_names)
{
	static const char *const names[] = { "one", "two", NULL };
	unsigned index = 9;

	cr_redirect_stderr();
	cr_assert_eq(argument_choice("p", "o", "two", names, &index), 0);
	cr_assert_eq(index, 1);
	cr_assert_eq(argument_choice("p", "o", "tw", names, &index), 2);
	cr_assert_eq(index, 1);
	cr_assert_stderr_eq_str("p: --o: 'tw' must be one of one, two\n");
}

static int
driver_environment(const char *text)
{
	cr_assert_eq(setenv("FILCH_DRIVER", text, 1), 0);
	return (argument_driver_environment("p"));
}

Test(driver_environment, is_a_driver_or_nothing)
{
	for (unsigned i = 0; argument_drivers[i] != NULL; i++) {
		cr_assert_eq(driver_environment(argument_drivers[i]), 0);
	}
	cr_assert_eq(driver_environment(""), 0);
	cr_assert_eq(unsetenv("FILCH_DRIVER"), 0);
	cr_assert_eq(argument_driver_environment("p"), 0);
}

Test(driver_environment, refusal_names_variable_value_and_rule)
{
	cr_redirect_stderr();
	cr_assert_eq(driver_environment("urin"), 2);
	cr_assert_stderr_eq_str("p: FILCH_DRIVER: 'urin' must be one of auto, "
				"uring, posix, kqueue\n");
}

Test(drivers, are_in_the_order_of_their_kinds)
{
	for (unsigned i = 0; argument_drivers[i] != NULL; i++) {
		cr_assert_str_eq(argument_drivers[i],
		    filch_driver_name((enum filch_driver_kind)i));
	}
}
