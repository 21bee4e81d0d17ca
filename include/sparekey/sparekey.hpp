/* RAII for C++11 over sparekey.h: owners that free, and failures as exceptions. Everything else is
 * the C API, which these classes hand out with get().
 *
 *     sparekey::client client = sparekey::client::from_environment();
 *     std::cout << client.text("Hello!").text() << "\n";
 */
#ifndef SPAREKEY_SPAREKEY_HPP
#define SPAREKEY_SPAREKEY_HPP

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "sparekey/sparekey.h"

namespace sparekey
{

/* What went wrong; details() is the C struct. */
class error : public std::runtime_error
{
public:
    explicit error(const sparekey_error &details)
        : std::runtime_error(details.message), details_(details)
    {
    }

    int code() const { return details_.code; }
    const sparekey_error &details() const { return details_; }

private:
    sparekey_error details_;
};

inline sparekey_error no_error()
{
    sparekey_error e = SPAREKEY_ERROR_INIT;
    return e;
}

inline void check(int status, const sparekey_error &details)
{
    if (status != SPAREKEY_OK)
        throw error(details);
}

/* Owns a result. */
class result
{
public:
    explicit result(sparekey_result *raw) : raw_(raw, sparekey_result_free) {}

    const sparekey_result *get() const { return raw_.get(); }
    std::string text() const { return sparekey_result_text(get()); }
    std::string model() const { return sparekey_result_model(get()); }
    std::string request_id() const { return sparekey_result_request_id(get()); }
    unsigned attempts() const { return sparekey_result_attempt_count(get()); }

    std::string body() const
    {
        size_t len;
        const char *bytes = sparekey_result_body(get(), &len);
        return std::string(bytes, len);
    }

private:
    std::unique_ptr<sparekey_result, void (*)(sparekey_result *)> raw_;
};

/* Owns a client. May be used by many threads at once, like the C client. */
class client
{
public:
    explicit client(sparekey_client *raw) : raw_(raw, sparekey_client_free) {}

    /* sparekey_client_from_environment */
    static client from_environment(const sparekey_client_options *options = nullptr)
    {
        sparekey_client *raw = nullptr;
        sparekey_error e = no_error();
        check(sparekey_client_from_environment(options, &raw, &e), e);
        return client(raw);
    }

    /* sparekey_client_new */
    static client with_keys(const std::vector<std::string> &keys, const std::string &base_url = "")
    {
        std::vector<const char *> list;
        for (const std::string &key : keys)
            list.push_back(key.c_str());
        sparekey_client_options options = sparekey_client_options_init();
        options.keys = list.data();
        options.key_count = list.size();
        options.base_url = base_url.empty() ? nullptr : base_url.c_str();
        sparekey_client *raw = nullptr;
        sparekey_error e = no_error();
        check(sparekey_client_new(&options, &raw, &e), e);
        return client(raw);
    }

    sparekey_client *get() const { return raw_.get(); }

    /* sparekey_generate_text */
    result text(const std::string &prompt, const sparekey_text_options *options = nullptr) const
    {
        sparekey_result *raw = nullptr;
        sparekey_error e = no_error();
        check(sparekey_generate_text(get(), prompt.c_str(), options, &raw, &e), e);
        return result(raw);
    }

    /* sparekey_generate_text, streamed: `on_text` returns false to stop, and must not throw. */
    result stream(const std::string &prompt, const std::function<bool(const std::string &)> &on_text,
                  sparekey_text_options options = sparekey_text_options_init()) const
    {
        sparekey_call_options call =
            options.call ? *options.call : sparekey_call_options_init();
        call.on_text = pass_text;
        call.user = const_cast<void *>(static_cast<const void *>(&on_text));
        options.call = &call;
        return text(prompt, &options);
    }

    /* sparekey_create_chat_completion */
    result chat(const std::vector<sparekey_message> &messages,
                const sparekey_text_options *options = nullptr) const
    {
        sparekey_result *raw = nullptr;
        sparekey_error e = no_error();
        check(sparekey_create_chat_completion(get(), messages.data(), messages.size(), options,
                                              &raw, &e),
              e);
        return result(raw);
    }

private:
    static int pass_text(void *user, const char *text, size_t len)
    {
        const auto &on_text = *static_cast<const std::function<bool(const std::string &)> *>(user);
        return on_text(std::string(text, len)) ? 0 : 1;
    }

    std::unique_ptr<sparekey_client, void (*)(sparekey_client *)> raw_;
};

} // namespace sparekey

#endif
