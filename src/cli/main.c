#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "version") == 0) {
        puts("sparekey " SPAREKEY_VERSION);
        return EXIT_OK;
    }
    return EXIT_USAGE;
}
