"""The authorities whose certificates are believed, in requests of ours to other servers."""

import ssl


def trusted() -> ssl.SSLContext:
    """Trust what the system (or SSL_CERT_FILE) and Mozilla trust. Takes a tenth of a second."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
