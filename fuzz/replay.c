/* Runs one fuzz target over every file of a corpus directory, as a TAP test. */
#include "fuzz.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

/* No input is longer: a corpus holds small examples. */
#define INPUT_MAX 1048576

static bool replay(const char *directory, const char *name)
{
    char path[4096];
    size_t len = 0;
    bool done = false;

    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
        return false;
    FILE *file = fopen(path, "rb");
    uint8_t *input = malloc(INPUT_MAX);
    if (!file || !input)
        goto out;
    len = fread(input, 1, INPUT_MAX, file);
    uint8_t *exact = realloc(input, len ? len : 1); /* its true size, for the sanitizer */
    if (!exact)
        goto out;
    input = exact;
    done = !ferror(file);
    if (done)
        (void)LLVMFuzzerTestOneInput(input, len);
out:
    free(input);
    if (file)
        fclose(file);
    return done;
}

int main(int argc, char **argv)
{
    unsigned count = 0, failed = 0;
    DIR *directory = argc == 2 ? opendir(argv[1]) : NULL;

    if (!directory) {
        fprintf(stderr, "usage: replay DIRECTORY\n");
        return 2;
    }
    for (const struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        bool good = replay(argv[1], entry->d_name);
        printf("%s %u - %s\n", good ? "ok" : "not ok", ++count, entry->d_name);
        failed += !good;
    }
    closedir(directory);
    /* An empty corpus proves nothing. */
    if (count == 0)
        printf("not ok %u - corpus is empty\n", ++count);
    printf("1..%u\n", count);
    return failed || count == 0;
}
