# A formula for a tap of one's own; packaging/README.md says what a release fills in, and what is not tested.
class LocalAi < Formula
  desc "One local endpoint for large language models, managed like a service"
  homepage "https://example.org/local-ai"
  url "https://example.org/local-ai/releases/v0.1.0/local_ai-0.1.0.tar.gz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license "Apache-2.0"

  depends_on arch: :arm64
  depends_on :macos
  depends_on "python@3.13"

  def install
    system Formula["python@3.13"].opt_bin/"python3.13", "-m", "venv", libexec
    # MLX and its kin as the wheels that are tested: a build of one's own would need Xcode.
    system libexec/"bin/pip", "install", "--only-binary", ":all:", "--no-binary", "local-ai", buildpath
    bin.install_symlink libexec/"bin/local-ai"
    generate_completions_from_executable(bin/"local-ai", "--print-completion-script")
  end

  def caveats
    <<~EOS
      To have the server start now and at each login, run one of these, not both:
        brew services start local-ai
        local-ai service install
    EOS
  end

  service do
    run [opt_bin/"local-ai", "server", "start", "--foreground"]
    # A start that fails, or a server that was lost, is started again; one that was stopped is not.
    keep_alive successful_exit: false
    # Not :background, since people wait for its answers.
    process_type :interactive
    environment_variables PATH: std_service_path_env
    log_path var/"log/local-ai.log"
    error_log_path var/"log/local-ai.log"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/local-ai --version")
    system bin/"local-ai", "config", "check"
  end
end
