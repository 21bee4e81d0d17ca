// C++: owners that free, failures as exceptions, a lambda that hears the stream.
#include <sparekey/sparekey.hpp>

#include <iostream>

int main(int argc, char **argv)
{
    try {
        auto client = sparekey::client::from_environment();
        auto answer = client.stream(argc > 1 ? argv[1] : "Say hello.", [](const std::string &text) {
            std::cout << text << std::flush;
            return true;
        });
        std::cout << "\n" << answer.model() << ", " << answer.attempts() << " attempts\n";
    } catch (const sparekey::error &error) {
        std::cerr << "raii: " << error.what() << " (" << error.code() << ")\n";
        return 1;
    }
    return 0;
}
