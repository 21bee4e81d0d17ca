/* A directory of its own for each test, files in it, and a load that reads only those. */
#ifndef TEST_SETTINGS_FIXTURE_H
#define TEST_SETTINGS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "settings/settings.h"

struct fixture {
    char directory[64];
    struct vault *vault;
    struct settings_report report;
    struct settings *settings; /* of the last load; NULL when it failed */
    const struct settings *previous;
    bool base_url; /* settings_sources.base_url of the loads */
    char **rest;
};

int fixture_set_up(void **state);
int fixture_tear_down(void **state);

/* (Over)writes a file of the directory; removes all of them. */
void fixture_write(struct fixture *f, const char *name, const char *text);
void fixture_remove_files(struct fixture *f);

/* Loads with these lists, either may be NULL; forgets the load before. `with_rest`: arguments that
 * are no options are allowed. Reports and settings are in the fixture afterwards. */
enum status fixture_load(struct fixture *f, const char **arguments, const char **environment,
                         bool with_rest);

/* The load failed with exactly this report, or passed with exactly these warnings. */
void assert_errors(const struct fixture *f, const char *text);
void assert_warnings(const struct fixture *f, const char *text);

/* Loads, and fails the test with the report when that fails. */
void must_load(struct fixture *f, const char **arguments, const char **environment);

void assert_key(const struct fixture *f, size_t index, const char *name, const char *source,
                const char *secret);

#define KEY_A "sk-proj-AAAAAAAAAAAAAAAAAAAAAAAA"
#define KEY_B "sk-proj-BBBBBBBBBBBBBBBBBBBBBBBB"
#define KEY_C "sk-proj-CCCCCCCCCCCCCCCCCCCCCCCC"

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

#define LIST(...) ((const char *[]){__VA_ARGS__, NULL})

#endif
