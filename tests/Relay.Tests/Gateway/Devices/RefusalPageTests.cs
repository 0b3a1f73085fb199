using System.Net;
using System.Text;
using Relay.Gateway.Devices;

namespace Relay.Tests.Gateway.Devices;

/// <summary>What a client that speaks HTTP reads when its flow is refused.</summary>
public sealed class RefusalPageTests
{
    [Theory]
    [InlineData("GET / HTTP/1.1\r\nHost: x\r\n\r\n")]
    [InlineData("OPTIONS * HTTP/1.1\r\n")]
    [InlineData("DELETE /a")]
    public void A_request_is_answered_with_status_and_reason(string said)
    {
        var answer = Answer(said, HttpStatusCode.NetworkAuthenticationRequired, "Access denied: naïve <b>.\nDecision 7");
        var (head, body) = Split(answer);
        Assert.Equal("HTTP/1.1 511 Network Authentication Required", head[0]);
        Assert.Contains("Content-Type: text/plain; charset=utf-8", head);
        Assert.Contains("X-Content-Type-Options: nosniff", head);
        Assert.Contains("Connection: close", head);
        Assert.Contains($"Content-Length: {Encoding.UTF8.GetByteCount(body)}", head);
        Assert.Equal("Access denied: naïve <b>.\nDecision 7\n", body);
    }

    [Fact]
    public void A_head_request_has_no_body()
    {
        var (head, body) = Split(Answer("HEAD / HTTP/1.1\r\n\r\n", HttpStatusCode.Forbidden, "no"));
        Assert.Equal("HTTP/1.1 403 Forbidden", head[0]);
        Assert.Contains("Content-Length: 3", head);
        Assert.Equal("", body);
    }

    [Theory]
    [InlineData("")]
    [InlineData("GET")]
    [InlineData("get / HTTP/1.1\r\n")]
    [InlineData("SSH-2.0-OpenSSH_9.9\r\n")]
    [InlineData("\u0016\u0003\u0001\u0002\u0000\u0001")]
    [InlineData("GETTING / HTTP/1.1")]
    public void Whatever_else_is_said_has_no_answer(string said) => Assert.Equal("", Answer(said, HttpStatusCode.Forbidden, "no"));

    private static string Answer(string said, HttpStatusCode status, string why) => Encoding.UTF8.GetString(RefusalPage.Answer(Encoding.Latin1.GetBytes(said), status, why).Span);

    private static (string[] Head, string Body) Split(string answer)
    {
        var end = answer.IndexOf("\r\n\r\n", StringComparison.Ordinal);
        return (answer[..end].Split("\r\n"), answer[(end + 4)..]);
    }
}
