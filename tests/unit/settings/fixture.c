#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fixture_set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    if (!f || vault_new(&f->vault) != STATUS_OK)
        return -1;
    (void)snprintf(f->directory, sizeof f->directory, "/tmp/sparekey-settings-XXXXXX");
    *state = f;
    return mkdtemp(f->directory) ? 0 : -1;
}

void fixture_remove_files(struct fixture *f)
{
    DIR *directory = opendir(f->directory);
    struct dirent *item;

    assert_non_null(directory);
    while ((item = readdir(directory)) != NULL) {
        if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0)
            assert_int_equal(unlinkat(dirfd(directory), item->d_name, 0), 0);
    }
    closedir(directory);
}

int fixture_tear_down(void **state)
{
    struct fixture *f = *state;

    fixture_remove_files(f);
    (void)rmdir(f->directory);
    settings_report_clear(&f->report);
    settings_unref(f->settings);
    vault_free(f->vault);
    free(f);
    return 0;
}

void fixture_write(struct fixture *f, const char *name, const char *text)
{
    char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", f->directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

enum status fixture_load(struct fixture *f, const char **arguments, const char **environment,
                         bool with_rest)
{
    /* A load writes to neither list. */
    struct settings_sources sources = {.arguments = (char **)(uintptr_t)arguments,
                                       .environment = (char **)(uintptr_t)environment,
                                       .directory = f->directory,
                                       .base_url = f->base_url,
                                       .previous = f->previous};

    settings_report_clear(&f->report);
    if (f->settings != f->previous)
        settings_unref(f->settings);
    f->settings = NULL;
    return settings_load(&sources, f->vault, &f->report, with_rest ? &f->rest : NULL, &f->settings);
}

static void assert_text(const struct buffer *got, const char *expected)
{
    char *text = calloc(1, got->len + 1);

    assert_non_null(text);
    if (got->len)
        memcpy(text, got->data, got->len);
    assert_string_equal(text, expected);
    free(text);
}

void assert_errors(const struct fixture *f, const char *text)
{
    assert_text(&f->report.errors, text);
}

void assert_warnings(const struct fixture *f, const char *text)
{
    assert_text(&f->report.warnings, text);
}

void must_load(struct fixture *f, const char **arguments, const char **environment)
{
    if (fixture_load(f, arguments, environment, false) != STATUS_OK)
        fail_msg("%.*s", (int)f->report.errors.len, f->report.errors.data);
}

void assert_key(const struct fixture *f, size_t index, const char *name, const char *source,
                const char *secret)
{
    assert_true(index < f->settings->key_count);
    const struct key_setting *key = &f->settings->keys[index];

    char text[KEY_NAME_MAX];

    assert_string_equal(key_name_text(key->traits->name, key->line, text), name);
    assert_string_equal(key->traits->source, source);
    assert_true(slice_eq(secret_bytes(key->secret), slice_str(secret)));
}
