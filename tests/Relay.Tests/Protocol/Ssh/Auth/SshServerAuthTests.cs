using System.Text;
using Relay.Protocol.Ssh;
using Relay.Tests.Protocol.Ssh.Transport;

namespace Relay.Tests.Protocol.Ssh.Auth;

/// <summary>Server side of RFC 4252 without I/O.</summary>
public sealed class SshServerAuthTests : IDisposable
{
    private readonly TransportPair _pair = new();
    private readonly SshServerAuth _auth;

    public SshServerAuthTests()
    {
        _pair.Shake();
        _auth = new(_pair.Server, 3);
        Assert.Equal(SshServerAuthStep.Continue, Handle(ServiceRequest("ssh-userauth")));
        Assert.Equal(SshMessageNumber.ServiceAccept, Answer()[0]);
    }

    public static TheoryData<string> KeyAlgorithms => [.. SshAlgorithmNames.Signatures];

    [Theory]
    [MemberData(nameof(KeyAlgorithms))]
    public void Signature_over_the_session_id_proves_the_key(string algorithm)
    {
        var key = KeyFor(algorithm);
        Assert.Equal(SshServerAuthStep.Proof, Handle(Signed("alice", algorithm, key.PublicKey.Blob.Span, key, algorithm)));
        Assert.Equal("alice", _auth.Pending!.User);
        Assert.Equal(key.PublicKey.Fingerprint, _auth.Pending.Key!.Fingerprint);
        Assert.Null(_auth.Pending.Certificate);
        _auth.AnswerProof(SshAuthOutcome.Accept("hello\nworld"));
        Assert.Equal("alice", _auth.AuthenticatedUser);
        Assert.Equal([SshMessageNumber.UserAuthSuccess], Answer());
        Assert.Equal(SshPhase.Connected, _pair.Server.Phase);
    }

    [Theory]
    [MemberData(nameof(KeyAlgorithms))]
    public void Certificates_are_proven_with_the_certified_key(string algorithm)
    {
        var key = KeyFor(algorithm);
        var builder = new SshCertificateBuilder { Key = key.PublicKey, Kind = SshCertificateKind.User, KeyId = "id", ValidBefore = DateTimeOffset.MaxValue };
        builder.Principals.Add("alice");
        var certificate = builder.Sign(TestKeys.Other);
        var name = algorithm + SshAlgorithmNames.CertificateSuffix;
        Assert.Equal(SshServerAuthStep.Proof, Handle(Signed("alice", name, certificate.Blob.Span, key, algorithm)));
        Assert.Equal("id", _auth.Pending!.Certificate!.KeyId);
        Assert.Equal(key.PublicKey.Fingerprint, _auth.Pending.Key!.Fingerprint);
    }

    /// <summary>L4: offer A, sign with B.</summary>
    [Fact]
    public void Key_offered_is_never_the_key_proven()
    {
        Assert.Equal(SshServerAuthStep.Query, Handle(Offer("alice", TestKeys.User)));
        _auth.AnswerQuery(true);
        Assert.Equal(SshMessageNumber.UserAuthPkOk, Answer()[0]);
        // Signed with B but still naming A: no proof at all.
        Assert.Equal(SshServerAuthStep.Continue, Handle(Signed("alice", "ssh-ed25519", TestKeys.User.PublicKey.Blob.Span, TestKeys.Other, "ssh-ed25519")));
        Assert.Equal(SshMessageNumber.UserAuthFailure, Answer()[0]);
        Assert.Null(_auth.Pending);
        // Naming B and signed with B: the session is B's.
        Assert.Equal(SshServerAuthStep.Proof, Handle(Signed("alice", "ssh-ed25519", TestKeys.Other.PublicKey.Blob.Span, TestKeys.Other, "ssh-ed25519")));
        Assert.Equal(TestKeys.Other.PublicKey.Fingerprint, _auth.Pending!.Key!.Fingerprint);
    }

    /// <summary>L4: a key offered without a signature never logs in.</summary>
    [Fact]
    public void Offer_alone_never_authenticates()
    {
        for (var i = 0; i < 10; i++)
        {
            Assert.Equal(SshServerAuthStep.Query, Handle(Offer("alice", TestKeys.User)));
            _auth.AnswerQuery(true);
        }

        Assert.Null(_auth.AuthenticatedUser);
        Assert.Equal(SshPhase.Authentication, _pair.Server.Phase);
    }

    [Fact]
    public void Signature_for_another_user_or_session_is_no_proof()
    {
        var message = Signed("alice", "ssh-ed25519", TestKeys.User.PublicKey.Blob.Span, TestKeys.User, "ssh-ed25519");
        var other = Encoding.ASCII.GetBytes(Encoding.Latin1.GetString(message).Replace("alice", "admin", StringComparison.Ordinal));
        message.AsSpan().CopyTo(other);
        "admin"u8.CopyTo(other.AsSpan(5));
        Assert.Equal(SshServerAuthStep.Continue, Handle(other));
        using var elsewhere = new TransportPair();
        elsewhere.Shake();
        Assert.Equal(SshServerAuthStep.Continue, Handle(Signed("alice", "ssh-ed25519", TestKeys.User.PublicKey.Blob.Span, TestKeys.User, "ssh-ed25519", elsewhere.Server.SessionId)));
        Assert.Null(_auth.AuthenticatedUser);
    }

    [Theory]
    [InlineData("ssh-rsa")] // SHA-1
    [InlineData("ssh-dss")]
    [InlineData("rsa-sha2-256-cert-v01@openssh.com")] // not a certificate blob
    [InlineData("sk-ssh-ed25519@openssh.com")]
    [InlineData("")]
    public void Algorithm_that_is_not_offered_or_not_the_blobs_fails(string algorithm)
    {
        Assert.Equal(SshServerAuthStep.Continue, Handle(Signed("alice", algorithm, TestKeys.HostRsa.PublicKey.Blob.Span, TestKeys.HostRsa, "rsa-sha2-256")));
        Assert.Equal(SshMessageNumber.UserAuthFailure, Answer()[0]);
    }

    [Fact]
    public void Signature_made_with_another_hash_than_named_fails()
        => Assert.Equal(SshServerAuthStep.Continue, Handle(Signed("alice", "rsa-sha2-512", TestKeys.HostRsa.PublicKey.Blob.Span, TestKeys.HostRsa, "rsa-sha2-256")));

    [Fact]
    public void Failed_signatures_are_counted_and_offers_are_not()
    {
        for (var i = 0; i < 8; i++)
        {
            Handle(Offer("alice", TestKeys.User));
            _auth.AnswerQuery(false);
        }

        Handle(Request("alice", "none"));
        for (var i = 0; i < 2; i++)
            Handle(Signed("alice", "ssh-ed25519", TestKeys.User.PublicKey.Blob.Span, TestKeys.Other, "ssh-ed25519"));
        var error = Assert.Throws<SshException>(() => Handle(Signed("alice", "ssh-ed25519", TestKeys.User.PublicKey.Blob.Span, TestKeys.Other, "ssh-ed25519")));
        Assert.Equal(SshDisconnectReason.NoMoreAuthMethodsAvailable, error.Reason);
    }

    [Fact]
    public void Offers_are_bounded_too()
    {
        var error = Assert.Throws<SshException>(() =>
        {
            for (var i = 0; i < 1000; i++)
            {
                Handle(Offer("alice", TestKeys.User));
                _auth.AnswerQuery(false);
            }
        });
        Assert.Equal(SshDisconnectReason.NoMoreAuthMethodsAvailable, error.Reason);
    }

    [Fact]
    public void None_is_answered_with_the_methods()
    {
        Handle(Request("alice", "none"));
        byte[] expected = [SshMessageNumber.UserAuthFailure, 0, 0, 0, 9, .. "publickey"u8, 0];
        Assert.Equal(expected, Answer());
    }

    [Fact]
    public void None_is_the_authenticators_to_judge_only_where_the_connection_says_so()
    {
        Assert.Equal(SshServerAuthStep.Continue, Handle(Request("alice", "none")));
        using var pair = new TransportPair();
        pair.Shake();
        var auth = new SshServerAuth(pair.Server, 3, asksAboutNone: true);
        auth.Handle(ServiceRequest("ssh-userauth"));
        Assert.Equal(SshServerAuthStep.Proof, auth.Handle(Request("alice", "none")));
        Assert.Equal(("alice", "none", null, null), (auth.Pending!.User, auth.Pending.Method, auth.Pending.Key, auth.Pending.Certificate));
        auth.AnswerProof(default);
        Assert.Null(auth.AuthenticatedUser);
        // Other methods are what they are elsewhere.
        Assert.Equal(SshServerAuthStep.Continue, auth.Handle(Request("alice", "password")));
        Assert.Equal(SshServerAuthStep.Query, auth.Handle(Offer("alice", TestKeys.User)));
        auth.AnswerQuery(true);
        Assert.Equal(SshServerAuthStep.Proof, auth.Handle(Request("bob", "none")));
        auth.AnswerProof(SshAuthOutcome.Accept());
        Assert.Equal("bob", auth.AuthenticatedUser);
    }

    [Theory]
    [InlineData("password")]
    [InlineData("keyboard-interactive")]
    [InlineData("hostbased")]
    [InlineData("gssapi-with-mic")]
    public void Other_methods_fail_and_count(string method)
    {
        Handle(Request("alice", method));
        Handle(Request("alice", method));
        Assert.Throws<SshException>(() => Handle(Request("alice", method)));
    }

    [Fact]
    public void Unknown_service_disconnects()
    {
        var error = Assert.Throws<SshException>(() => Handle(Request("alice", "none", "ssh-teapot")));
        Assert.Equal(SshDisconnectReason.ServiceNotAvailable, error.Reason);
    }

    [Fact]
    public void Refusal_with_a_banner_says_it_before_the_failure_or_the_disconnect()
    {
        Handle(Signed("alice", "ssh-ed25519", TestKeys.User.PublicKey.Blob.Span, TestKeys.User, "ssh-ed25519"));
        _auth.AnswerProof(SshAuthOutcome.Fail("not this key"));
        var seen = Answers();
        Assert.Equal([SshMessageNumber.UserAuthBanner, SshMessageNumber.UserAuthFailure], seen.Select(static payload => payload[0]));
        Handle(Signed("alice", "ssh-ed25519", TestKeys.User.PublicKey.Blob.Span, TestKeys.User, "ssh-ed25519"));
        var error = Assert.Throws<SshException>(() => _auth.AnswerProof(SshAuthOutcome.Disconnect("why\nid 7", "Denied.")));
        Assert.Equal(SshDisconnectReason.NoMoreAuthMethodsAvailable, error.Reason);
        Assert.Equal("Denied.", error.Message);
        byte[] expected = [SshMessageNumber.UserAuthBanner, 0, 0, 0, 11, .. "why\r\nid 7\r\n"u8, 0, 0, 0, 0];
        Assert.Equal(expected, Answer());
    }

    [Fact]
    public void Default_outcome_fails()
    {
        Handle(Signed("alice", "ssh-ed25519", TestKeys.User.PublicKey.Blob.Span, TestKeys.User, "ssh-ed25519"));
        _auth.AnswerProof(default);
        Assert.Null(_auth.AuthenticatedUser);
        Assert.Equal(SshMessageNumber.UserAuthFailure, Answer()[0]);
    }

    public void Dispose() => _pair.Dispose();

    private static SshPrivateKey KeyFor(string algorithm) => algorithm switch
    {
        "ssh-ed25519" => TestKeys.User,
        "ecdsa-sha2-nistp256" => TestKeys.HostEcdsa,
        _ => TestKeys.HostRsa,
    };

    private static byte[] ServiceRequest(string service)
    {
        using var writer = new SshWriter();
        writer.WriteByte(SshMessageNumber.ServiceRequest);
        writer.WriteString(service);
        return writer.ToArray();
    }

    private static byte[] Request(string user, string method, string service = "ssh-connection")
    {
        using var writer = new SshWriter();
        writer.WriteByte(SshMessageNumber.UserAuthRequest);
        writer.WriteString(user);
        writer.WriteString(service);
        writer.WriteString(method);
        return writer.ToArray();
    }

    private static byte[] Offer(string user, SshPrivateKey key)
    {
        using var writer = new SshWriter();
        writer.WriteBytes(Request(user, "publickey"));
        writer.WriteBoolean(false);
        writer.WriteString(key.PublicKey.KeyType);
        writer.WriteString(key.PublicKey.Blob.Span);
        return writer.ToArray();
    }

    private byte[] Signed(string user, string name, ReadOnlySpan<byte> blob, SshPrivateKey signer, string algorithm, byte[]? session = null)
    {
        using var writer = new SshWriter();
        writer.WriteBytes(Request(user, "publickey"));
        writer.WriteBoolean(true);
        writer.WriteString(name);
        writer.WriteString(blob);
        using var signed = new SshWriter();
        signed.WriteString(session ?? _pair.Server.SessionId);
        signed.WriteBytes(writer.WrittenSpan);
        writer.WriteString(signer.Sign(algorithm, signed.WrittenSpan));
        return writer.ToArray();
    }

    private SshServerAuthStep Handle(byte[] payload) => _auth.Handle(payload);

    private byte[] Answer() => Answers()[^1];

    private List<byte[]> Answers()
    {
        var seen = new List<byte[]>();
        TransportPair.Feed(_pair.Client, _pair.Server.Writer.Take().ToArray(), default, null, seen.Add);
        if (_pair.Client.Phase == SshPhase.Service)
            _pair.Client.EnterAuthentication();
        return seen;
    }
}
