using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Silo.Api.Http;
using Relay.Silo.Identity;

namespace Relay.Silo.Api.Resources;

/// <summary>login, logout, me.</summary>
internal sealed class LoginApi(LoginSessions logins, LoginThrottle throttle, Passwords passwords, NpgsqlDataSource database)
{
    public static void Map(ApiRoutesBuilder routes)
    {
        routes.Map("POST", "/login", "login", "Log in with e-mail and password", (HttpContext http, LoginApi api) => api.LoginAsync(http))
            .Accepts<LoginRequest>("application/json").Produces<LoginResponse>().Produces<ApiError>(401).Produces<ApiError>(429);
        routes.Map("POST", "/logout", "logout", "End this login", (HttpContext http, LoginApi api) => api.LogoutAsync(http)).Produces(204);
        routes.Map("GET", "/me", "get_me", "Who am I", (HttpContext http) => Reply.Ok(LoginSessions.Describe(http.Caller()), ApiJson.Default.Me)).Produces<Me>();
        routes.Map("PUT", "/me/password", "change_my_password", "Change my password", (HttpContext http, LoginApi api) => api.ChangePasswordAsync(http))
            .Accepts<PasswordChange>("application/json").Produces(204).Produces<ApiError>(429);
    }

    private async Task<IResult> LoginAsync(HttpContext http)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.LoginRequest);
        var errors = new FieldErrors();
        // A wrong address is answered like a wrong password; only what is missing or absurd is named.
        if (string.IsNullOrEmpty(request.Email) || request.Email.Length > 254)
            errors.Add("email", "is required, at most 254 characters");
        if (string.IsNullOrEmpty(request.Password) || request.Password.Length > 256)
            errors.Add("password", "is required, at most 256 characters");
        var organization = errors.Text("organization", request.Organization, 63);
        errors.ThrowIfAny();
        var answer = await logins.LoginAsync(organization.Length == 0 ? "default" : organization, request.Email!, request.Password!, http.PeerAddress(), http.RequestId(), http.RequestAborted);
        return Reply.Ok(answer, ApiJson.Default.LoginResponse);
    }

    private async Task<IResult> LogoutAsync(HttpContext http)
    {
        await logins.LogoutAsync(http.Caller(), http.Actor(), http.RequestAborted);
        return TypedResults.NoContent();
    }

    private async Task<IResult> ChangePasswordAsync(HttpContext http)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.PasswordChange);
        var caller = http.Caller();
        var errors = new FieldErrors();
        if (string.IsNullOrEmpty(request.CurrentPassword) || request.CurrentPassword.Length > 256)
            errors.Add("current_password", "is required, at most 256 characters");
        if (request.NewPassword is null)
            errors.Add("new_password", "is required");
        errors.Password("new_password", request.NewPassword);
        errors.ThrowIfAny();

        // A stolen token must not be a way to guess the password.
        var account = LoginThrottle.Account(caller.OrganizationName, caller.Email);
        if (await throttle.EnterAsync(account, http.PeerAddress(), http.RequestAborted) is { } seconds)
            throw new ApiException(429, ErrorCodes.TooManyRequests, $"too many failed attempts: try again in {seconds} s") { RetryAfterSeconds = seconds };
        await using (var connection = await database.OpenConnectionAsync(http.RequestAborted))
        {
            var present = await connection.ExecuteScalarAsync<string?>(new CommandDefinition("SELECT password_hash FROM app_user WHERE user_id = @UserId", new { caller.UserId }, cancellationToken: http.RequestAborted));
            if (!await passwords.VerifyAsync(present, request.CurrentPassword!, http.RequestAborted))
                throw new ApiException(422, ErrorCodes.Invalid, "current_password: is wrong", [new ApiErrorDetail("current_password", "is wrong")]);
        }
        await throttle.SucceededAsync(account, http.PeerAddress(), http.RequestAborted);

        var hash = await passwords.HashAsync(request.NewPassword!, http.RequestAborted);
        await using var write = await http.BeginWriteAsync(database);
        await write.ExecuteAsync("""
            UPDATE app_user SET password_hash = @hash WHERE user_id = @UserId;
            UPDATE login_session SET revoked_at = now() WHERE user_id = @UserId AND login_session_id <> @LoginSessionId AND revoked_at IS NULL;
            """, new { hash, caller.UserId, caller.LoginSessionId });
        await write.AuditAsync("user.password_change", "user", caller.UserId.ToString("D"));
        await write.CommitAsync(bump: false);
        return TypedResults.NoContent();
    }
}
